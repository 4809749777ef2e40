"""What a poll tells, and how small it stays."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engineshed_client.agent import polling
from engineshed_client.journal import State
from engineshed_packages.protocol import Health
from tests.client.joined_base import JoinedBase

MAX_NO_NEWS_BYTES = 1000
MAX_BODY_BYTES = 500


def test_the_first_poll_tells_of_the_host_and_the_next_does_not(joined: JoinedBase) -> None:
    poller = joined.parts().poller
    poller.poll(State.IDLE, None)
    poller.poll(State.IDLE, None)
    first, second = joined.portal.polls()
    assert first.attributes is not None
    assert (second.attributes, second.capabilities) == (None, ())


def test_a_poll_the_portal_did_not_take_has_told_nothing(joined: JoinedBase) -> None:
    from tests.faulty_http import answers

    poller = joined.parts().poller
    joined.portal.server.at(
        "/api/v1/poll", answers.status(500), answers.json(joined.portal.no_news().to_bytes())
    )
    with pytest.raises(Exception, match="500"):
        poller.poll(State.IDLE, None)
    poller.poll(State.IDLE, None)
    assert joined.portal.polls()[1].attributes is not None


def test_a_changed_host_is_told_again(joined: JoinedBase, monkeypatch: pytest.MonkeyPatch) -> None:
    poller = joined.parts().poller
    poller.poll(State.IDLE, None)
    now = polling.read_attributes(joined.paths)
    monkeypatch.setattr(polling, "read_attributes", lambda paths: replace(now, host_name="renamed"))
    poller.poll(State.IDLE, None)
    told = joined.portal.polls()[1].attributes
    assert told is not None
    assert told.host_name == "renamed"


@pytest.mark.parametrize(("share", "told"), [(0.9, False), (0.5, True), (2.0, True)])
def test_free_space_is_told_again_when_it_moved_by_a_quarter(
    joined: JoinedBase, monkeypatch: pytest.MonkeyPatch, share: float, told: bool
) -> None:
    poller = joined.parts().poller
    now = replace(polling.read_attributes(joined.paths), free_disk_bytes=10**9)
    monkeypatch.setattr(polling, "read_attributes", lambda paths: now)
    poller.poll(State.IDLE, None)
    moved = replace(now, free_disk_bytes=int(10**9 * share))
    monkeypatch.setattr(polling, "read_attributes", lambda paths: moved)
    poller.poll(State.IDLE, None)
    assert (joined.portal.polls()[1].attributes is not None) is told


def test_a_running_engine_is_probed_for_the_poll(joined: JoinedBase) -> None:
    joined.install("1.0.0")
    joined.parts().poller.poll(State.IDLE, None)
    poll = joined.portal.polls()[0]
    assert (poll.version and poll.version.text, poll.health, poll.measured_version) == (
        "1.0.0",
        Health.GOOD,
        "1.0.0",
    )


def test_a_stopped_engine_is_told_as_stopped(joined: JoinedBase) -> None:
    joined.install("1.0.0")
    joined.context.supervisor.stop(5)
    joined.parts().poller.poll(State.IDLE, None)
    assert joined.portal.polls()[0].health is Health.STOPPED


def test_without_an_engine_there_is_no_version(joined: JoinedBase) -> None:
    joined.parts().poller.poll(State.IDLE, None)
    poll = joined.portal.polls()[0]
    assert (poll.version, poll.health) == (None, Health.UNKNOWN)


def test_a_replaced_engine_is_seen(joined: JoinedBase) -> None:
    joined.install("1.0.0")
    poller = joined.parts().poller
    poller.poll(State.IDLE, None)
    joined.install("1.1.0")
    poller.poll(State.IDLE, None)
    assert [poll.version and poll.version.text for poll in joined.portal.polls()] == ["1.0.0", "1.1.0"]


def test_a_poll_without_news_is_one_request_under_a_kilobyte_each_way(joined: JoinedBase) -> None:
    joined.install("1.0.0")
    poller = joined.parts().poller
    poller.poll(State.IDLE, None)
    joined.portal.server.requests.clear()
    poller.poll(State.IDLE, None)
    (request,) = joined.portal.server.requests
    headers = sum(len(name) + len(value) + 4 for name, value in request.headers.items())
    token_of_a_real_portal = 300
    assert len(request.body) < MAX_BODY_BYTES
    assert len(request.body) + headers + len("POST /api/v1/poll HTTP/1.1\r\n\r\n") < (
        MAX_NO_NEWS_BYTES - token_of_a_real_portal
    )
