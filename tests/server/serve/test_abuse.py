"""What anybody may try on the engines' API, on real workers: refused, and nothing is written."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engineshed_packages.enrolment import EnrolAnswer, EnrolRequest, TokenRequest
from engineshed_packages.ids import derived_id, new_id
from engineshed_packages.jsontext import write_compact
from engineshed_packages.order_keys import load_order_signer, make_order_key
from engineshed_packages.orders import Order, sign_order
from engineshed_packages.protocol import Poll, PollAnswer
from engineshed_packages.versions import Version
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.filters import AuditFilter
from engineshed_server.services.audit import list_audit
from engineshed_server.services.enrol_tokens import EnrolTerms, create_enrol_token
from engineshed_server.services.guesses import FREE_FAILURES
from engineshed_server.wiring import open_portal
from tests.server.running import RunningPortal
from tests.server.serve.workers import Worker, connect_to_each
from tests.vendor import PRODUCT, twin_of

WORKERS = 2
MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Scene:
    """A portal with two workers, on which 1.0.0 is published, and a genuine engine."""

    portal: RunningPortal
    workers: list[Worker]
    engine: EnrolAnswer
    token: str

    def is_well(self) -> bool:
        """Whether each worker still answers the genuine engine."""
        return all(one.poll(self.engine.engine, self.token)[0] == 200 for one in self.workers)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    portal = RunningPortal(tmp_path_factory.mktemp("portal"), workers=WORKERS)
    try:
        portal.publish("1.0.0")
        portal.start()
        engine, token = portal.enrol()
        with ExitStack() as held:
            yield Scene(portal, connect_to_each(portal, held, count=WORKERS), engine, token)
    finally:
        portal.end()


def audited(scene: Scene, action: str) -> list[tuple[str, str | None]]:
    """Subject and address of each row of the audit about *action*, the newest first."""
    with closing(open_portal(scene.portal.settings)) as portal:
        page = list_audit(portal, AuditFilter(action=action), limit=500)
    return [(one.subject, one.address) for one in page.entries]


def code_of(answer: tuple[int, bytes]) -> tuple[int, str]:
    return answer[0], json.loads(answer[1])["code"]


def poll_of(scene: Scene) -> bytes:
    return Poll(
        engine=scene.engine.engine,
        product=PRODUCT,
        platform="linux-x86_64",
        version=Version.parse("1.0.0"),
        state="IDLE",
        boot="boot",
        clock=datetime.now(UTC),
        updater_version="0.1.0",
    ).to_bytes()


def enrolment(token: str) -> bytes:
    return EnrolRequest(
        token=token,
        product=PRODUCT,
        platform="linux-x86_64",
        version=None,
        host_name="host-1",
        updater_version="0.1.0",
    ).to_bytes()


NESTED = b'{"a":' * 2000 + b"1" + b"}" * 2000
UNREADABLE = {
    "an array": (b"[]", (400, "json-unreadable")),
    "NaN": (b'{"protocol": NaN}', (400, "json-unreadable")),
    "a key twice": (b'{"protocol": 1, "protocol": 1}', (400, "json-unreadable")),
    "no UTF-8": (b'\xff\xfe{"a": 1}', (400, "json-unreadable")),
    "an integer of 5,000 digits": (b'{"protocol": ' + b"9" * 5000 + b"}", (400, "json-unreadable")),
    "nested 2,000 deep": (NESTED, (400, "json-too-deep")),
    "10 MB": (b'{"a": "' + b"x" * 10 * MEGABYTE + b'"}', (413, "json-too-large")),
}


@pytest.mark.parametrize("what", UNREADABLE)
@pytest.mark.parametrize("door", ["enrol", "token", "poll", "reports"])
def test_what_no_engine_would_send_is_refused_at_every_door(scene: Scene, door: str, what: str) -> None:
    body, expected = UNREADABLE[what]
    with closing(scene.portal.connect()) as connection:
        connection.putrequest("POST", f"/api/v1/{door}")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(body)))
        connection.putheader("Authorization", f"Bearer {scene.token}")
        connection.endheaders()
        with suppress(BrokenPipeError, ConnectionResetError):  # what is refused unread is not waited for
            connection.send(body)
        answer = connection.getresponse()
        assert code_of((answer.status, answer.read())) == expected
    assert scene.is_well()


@pytest.mark.parametrize("version", ["٣.٤", "3.4 beta", "3.4\n", "3..4", "-1"])
def test_a_version_that_cannot_be_ordered_is_refused_in_a_poll(scene: Scene, version: str) -> None:
    body = json.dumps({**json.loads(poll_of(scene)), "version": version}).encode()
    assert code_of(scene.workers[0].ask("POST", "/api/v1/poll", body, scene.token)) == (
        400,
        "version-unreadable",
    )


def forged(scene: Scene, header: dict[str, str], key: bytes | None) -> str:
    """An access token as this portal writes them, but for *header* and *key*; no signature without a key."""

    def part(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    claims = scene.token.split(".")[1].encode()
    signed = part(json.dumps(header).encode()) + b"." + claims
    mac = b"" if key is None else hmac.digest(key, signed, hashlib.sha256)
    return (signed + b"." + part(mac)).decode()


def an_order() -> str:
    pem, _ = make_order_key()
    order = Order(
        portal=new_id("ptl"),
        engine=new_id("eng"),
        id=new_id("ord"),
        seq=1,
        issued=datetime.now(UTC),
        accept_before=datetime.now(UTC),
        do="stop",
    )
    return base64.urlsafe_b64encode(write_compact(sign_order(order, load_order_signer(pem)[0]))).decode()


TYPE = "engineshed-access+jwt"


@pytest.mark.parametrize("what", ["unsigned", "with another key", "another type", "altered", "too large"])
def test_a_forged_access_token_is_refused_by_every_worker(scene: Scene, what: str) -> None:
    key = scene.portal.settings.data_dir.joinpath("secrets", "access.key").read_bytes()
    token = {
        "unsigned": forged(scene, {"alg": "none", "typ": TYPE}, None),
        "with another key": forged(scene, {"alg": "HS256", "typ": TYPE}, b"k" * 32),
        "another type": forged(scene, {"alg": "HS256", "typ": "engineshed-licence+jwt"}, key),
        "altered": scene.token[:-4] + "AAAA",
        "too large": scene.token + "A" * 4000,
    }[what]
    control = forged(scene, {"alg": "HS256", "typ": TYPE}, key)
    for worker in scene.workers:
        assert worker.poll(scene.engine.engine, token)[0] == 401
        assert worker.poll(scene.engine.engine, control)[0] == 200


def test_nothing_else_that_is_secret_or_signed_here_is_taken_for_an_access_token(scene: Scene) -> None:
    others = (scene.portal.token, scene.engine.secret, scene.portal.enrol_line().token, an_order())
    for worker in scene.workers:
        for other in others:
            assert worker.poll(scene.engine.engine, other)[0] == 401, other
        assert worker.ask("GET", "/api/v1/engines", token=scene.token)[0] == 401


def test_nothing_else_that_is_secret_here_lets_a_host_join(scene: Scene) -> None:
    for other in (scene.portal.token, scene.engine.secret):
        told = scene.workers[0].ask("POST", "/api/v1/enrol", enrolment(other))
        assert code_of(told) == (401, "enrol-token-unknown")


def test_one_engines_token_is_no_good_for_another(scene: Scene) -> None:
    other, token = scene.portal.enrol()
    for worker in scene.workers:
        assert code_of(worker.poll(scene.engine.engine, token)) == (403, "engine-mismatch")
    assert PollAnswer.from_bytes(scene.workers[0].poll(other.engine, token)[1]).code == "up-to-date"


def test_guessed_secrets_wait_in_all_workers_together_and_the_engine_itself_does_not(scene: Scene) -> None:
    def guess(number: int, engine: str) -> tuple[int, str]:
        body = TokenRequest(engine=engine, secret="guessed").to_bytes()
        return code_of(scene.workers[number % WORKERS].ask("POST", "/api/v1/token", body))

    nobody = derived_id("eng", "nobody")
    told = [guess(number, (scene.engine.engine, nobody)[number // 3]) for number in range(FREE_FAILURES + 1)]
    assert told == [(401, "engine-secret-wrong")] * (FREE_FAILURES + 1)
    assert [guess(number, nobody) for number in range(WORKERS)] == [(429, "token-delayed")] * WORKERS
    genuine = TokenRequest(engine=scene.engine.engine, secret=scene.engine.secret).to_bytes()
    for worker in scene.workers:
        assert worker.ask("POST", "/api/v1/token", genuine)[0] == 200
    assert audited(scene, "engine-secret-wrong") == [
        *[("unknown engine", "127.0.0.1")] * 3,
        *[(scene.engine.engine, "127.0.0.1")] * 3,
    ]


def test_terminal_sequences_and_markup_in_what_an_engine_says_are_written_out(scene: Scene) -> None:
    hostile = "\x1b[2J\r\nroot# <script>alert(1)</script>\u202e"
    with closing(open_portal(scene.portal.settings)) as portal:
        made = create_enrol_token(portal, EnrolTerms(), actor=Actor("test"), now=datetime.now(UTC))
    values = {**json.loads(enrolment(made.line.token)), "host_name": hostile}
    joined = scene.workers[0].ask("POST", "/api/v1/enrol", json.dumps(values).encode())
    engine = EnrolAnswer.from_bytes(joined[1]).engine
    shown = scene.workers[1].ask("GET", f"/api/v1/engines/{engine}", token=scene.portal.token)[1]
    assert json.loads(shown)["host_name"] == (r"\x1b[2J\r\nroot# <script>alert(1)</script>\u202e")
    assert not {b"\x1b", b"\r"} & {bytes([one]) for one in scene.portal.log.read_bytes()}


def test_of_two_bundles_of_one_version_sent_at_once_one_is_published_and_the_other_a_conflict(
    scene: Scene, tmp_path: Path
) -> None:
    twin = twin_of(scene.portal.vendor, tmp_path)
    bundles = []
    for number, vendor in enumerate((scene.portal.vendor, twin)):
        vendor.release("0.5.0", files={"lib/which": b"%d" % number})
        bundles.append(vendor.bundle("0.5.0").read_bytes())

    def send(number: int) -> tuple[int, bytes]:
        with closing(scene.portal.connect()) as connection:
            headers = {"Authorization": f"Bearer {scene.portal.token}"}
            connection.request("PUT", f"/api/v1/bundles/{number}.zip", bundles[number], headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(send, range(2)))
    assert sorted(status for status, _ in answers) == [201, 409], answers
    winner = next(number for number, (status, _) in enumerate(answers) if status == 201)
    vendor = (scene.portal.vendor, twin)[winner]
    path = f"/api/v1/releases/{PRODUCT}/0.5.0"
    release = json.loads(scene.portal.get(path, Authorization=f"Bearer {scene.portal.token}")[1])
    (package,) = release["packages"]
    published = f"{PRODUCT}/0.5.0/{package['sha256']}.{PRODUCT}-0.5.0-any.zip"
    sent = (vendor.repository.targets / published).read_bytes()
    assert hashlib.sha256(sent).hexdigest() == package["sha256"]
