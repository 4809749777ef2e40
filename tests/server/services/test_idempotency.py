from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from engineshed_server.errors import Refused, ServerError, TryLater
from engineshed_server.services.api_tokens import list_api_tokens, revoke_api_token
from engineshed_server.services.idempotency import KEPT, LEASE, Done, KeptAnswer, KeyedRequest, run_once
from engineshed_server.services.portal import Portal
from tests.server.portals import ACTOR, House
from tests.server.services.idempotent_run import REQUEST, make_token


def send(house: House, request: KeyedRequest = REQUEST) -> Done:
    def work(within: Portal) -> KeptAnswer:
        return make_token(within, now=house.now)

    return run_once(house.portal, request, work=work, now=house.now)


def made(house: House) -> int:
    """How often the work was done."""
    return len(list_api_tokens(house.portal, limit=100).tokens)


def stored(house: House) -> str:
    with house.portal.database.read() as session:
        return " ".join(
            str(value) for row in session.execute(text("SELECT * FROM idempotency")) for value in row
        )


def test_the_same_request_is_done_once_and_answered_again(house: House) -> None:
    first = send(house)
    house.tick(hours=23)
    again = send(house)
    assert (first.replayed, again.replayed) == (False, True)
    assert again.answer == first.answer
    assert made(house) == 1


def test_another_key_and_another_owner_are_other_requests(house: House) -> None:
    for request in (REQUEST, replace(REQUEST, key="other"), replace(REQUEST, owner="tok_other")):
        assert not send(house, request).replayed
    assert made(house) == 3


def test_the_key_of_another_request_is_refused(house: House) -> None:
    send(house)
    with pytest.raises(Refused) as caught:
        send(house, replace(REQUEST, content=b"make another"))
    assert caught.value.code == "idempotency-key-reused"
    assert made(house) == 1


def test_after_a_day_a_key_is_forgotten(house: House) -> None:
    send(house)
    house.tick(seconds=KEPT.total_seconds() + 1)
    assert not send(house, replace(REQUEST, key="other")).replayed
    assert REQUEST.key_hash not in stored(house)


def test_a_request_that_is_refused_frees_its_key(house: House) -> None:
    def refuse(within: Portal) -> KeptAnswer:
        make_token(within, now=house.now)
        raise Refused("no", "no")

    with pytest.raises(Refused) as caught:
        run_once(house.portal, REQUEST, work=refuse, now=house.now)
    assert (caught.value.code, made(house), stored(house)) == ("no", 0, "")
    assert not send(house).replayed


def test_while_the_first_run_goes_on_the_second_is_told_to_wait(house: House) -> None:
    told: list[TryLater] = []

    def work(within: Portal) -> KeptAnswer:
        # On SQLite a second writer would wait for this one: the claim is looked at from within.
        with pytest.raises(TryLater) as caught:
            run_once(within, REQUEST, work=work, now=house.now + timedelta(seconds=10))
        told.append(caught.value)
        return make_token(within, now=house.now)

    run_once(house.portal, REQUEST, work=work, now=house.now)
    assert [(err.code, err.retry_after_s) for err in told] == [("idempotency-key-busy", 51)]
    assert made(house) == 1


def test_of_many_at_once_one_does_it(house: House) -> None:
    def attempt(_: int) -> str:
        try:
            return send(house).answer.body.decode()
        except TryLater as err:
            return err.code

    with ThreadPoolExecutor(8) as pool:
        told = set(pool.map(attempt, range(16)))
    assert made(house) == 1
    assert len(told - {"idempotency-key-busy", "database-raced"}) == 1


def test_a_run_that_was_taken_over_leaves_nothing(house: House) -> None:
    def slow(within: Portal) -> KeptAnswer:
        answer = make_token(within, now=house.now)
        # Meanwhile the lease ends and another process takes the key: played by the row.
        with within.database.write() as session:
            session.execute(text("UPDATE idempotency SET attempt = 'req_other'"))
        return answer

    with pytest.raises(TryLater) as caught:
        run_once(house.portal, REQUEST, work=slow, now=house.now)
    assert (caught.value.code, made(house)) == ("idempotency-key-busy", 0)


@pytest.mark.parametrize(("step", "done_by_the_killed"), [("working", False), ("done", True)])
def test_a_kill_leaves_it_done_once_or_not_at_all(house: House, step: str, done_by_the_killed: bool) -> None:
    settings = house.portal.settings
    words = [str(settings.data_dir), settings.database_url, step, house.now.isoformat()]
    command = [sys.executable, "-m", "tests.server.services.idempotent_run", *words]
    killed = subprocess.run(command, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert made(house) == (1 if done_by_the_killed else 0)
    if not done_by_the_killed:
        with pytest.raises(TryLater) as caught:
            send(house)
        assert caught.value.code == "idempotency-key-busy"
        house.tick(seconds=LEASE.total_seconds())
    assert send(house).replayed == done_by_the_killed
    assert made(house) == 1


def test_a_change_made_within_is_in_force_when_the_answer_goes_out(house: House) -> None:
    token = list_api_tokens(house.portal, limit=1).tokens
    assert token == ()
    send(house)
    made_id = list_api_tokens(house.portal, limit=1).tokens[0].token_id

    def revoke(within: Portal) -> KeptAnswer:
        revoke_api_token(within, made_id, actor=ACTOR, now=house.now)
        return KeptAnswer(status=200, headers={}, body=b"")

    run_once(house.portal, replace(REQUEST, key="other"), work=revoke, now=house.now)
    assert house.portal.snapshot.current().api_tokens == {}


def test_a_kept_secret_cannot_be_read_in_the_database(house: House) -> None:
    secret = send(house).answer.body.decode()
    kept = stored(house)
    assert kept
    assert all(word not in kept for word in (secret, REQUEST.secret, "kept"))
    assert secret not in repr(REQUEST)


def test_a_kept_answer_that_was_altered_is_not_given(house: House) -> None:
    send(house)
    with house.portal.database.write() as session:
        session.execute(text("UPDATE idempotency SET sealed = 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'"))
    with pytest.raises(ServerError) as caught:
        send(house)
    assert caught.value.code == "idempotency-damaged"
