"""A revoked API token is out of force in every worker: two real ones, each by a connection of its own."""

import http.client
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from engineshed_server.domain.actors import Actor
from engineshed_server.services import api_tokens
from engineshed_server.services.api_tokens import Scope
from engineshed_server.wiring import open_portal
from tests.server.running import RunningPortal

IN_FORCE_S = 1.0


@pytest.fixture
def here(tmp_path: Path) -> Iterator[RunningPortal]:
    portal = RunningPortal(tmp_path, workers=2)
    portal.start()
    yield portal
    portal.end()


def status(connection: http.client.HTTPConnection, token: str) -> int:
    connection.request("GET", "/api/v1/engines", headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def worker_of(here: RunningPortal, connection: http.client.HTTPConnection) -> int | None:
    """The process that holds the other end of an open connection."""
    local = connection.sock.getsockname()
    for pid in here.processes():
        for one in psutil.Process(pid).net_connections("tcp4"):
            if one.raddr and tuple(one.raddr) == local:
                return pid
    return None


def connections_to_both(
    here: RunningPortal, stack: ExitStack, token: str
) -> dict[int, http.client.HTTPConnection]:
    """An open connection to each worker, which has answered the token once."""
    found: dict[int, http.client.HTTPConnection] = {}
    for _ in range(100):
        connection = stack.enter_context(closing(here.connect()))
        assert status(connection, token) == 200
        worker = worker_of(here, connection)
        assert worker is not None
        found.setdefault(worker, connection)
        if len(found) == 2:
            return found
    raise AssertionError(f"one worker answered a hundred connections: {sorted(found)}")


def test_a_token_revoked_elsewhere_is_refused_by_every_worker_within_a_second(here: RunningPortal) -> None:
    now = datetime.now(UTC)
    with ExitStack() as stack, closing(open_portal(here.settings)) as portal:
        made = api_tokens.create_api_token(portal, name="x", scope=Scope.VIEWER, actor=Actor("test"), now=now)
        found = connections_to_both(here, stack, made.secret)
        api_tokens.revoke_api_token(portal, made.token_id, actor=Actor("test"), now=now)
        time.sleep(IN_FORCE_S)
        assert {worker: status(one, made.secret) for worker, one in found.items()} == dict.fromkeys(
            found, 401
        )


def test_a_new_token_is_taken_by_every_worker_at_once(here: RunningPortal) -> None:
    with ExitStack() as stack, closing(open_portal(here.settings)) as portal:
        found = connections_to_both(here, stack, here.token)
        made = api_tokens.create_api_token(
            portal, name="x", scope=Scope.VIEWER, actor=Actor("test"), now=datetime.now(UTC)
        )
        assert {status(one, made.secret) for one in found.values()} == {200}
