"""Polls answered by the thread that accepts: the whole HTTP answer to the bytes of a whole request, or none.

Most requests of a portal are polls without news. Handing one over to a thread and back costs more than to
answer it, and to answer it nothing is waited for (see ``PollLane.answer_at_once``). What is said is what
gunicorn would say to the same request, and what is not of the plainest kind is left to it.
"""

from __future__ import annotations

import time

from gunicorn import SERVER  # type: ignore[import-untyped]  # the library carries no types
from gunicorn.util import http_date  # type: ignore[import-untyped]

from engineshed_server.api.poll_lane import PollLane
from engineshed_server.api.poll_request import read_poll_request


class Polls:
    """What *lane* answers at once, as HTTP/1.1."""

    def __init__(self, lane: PollLane) -> None:
        self._lane = lane
        self._second = 0
        self._begin = ""

    def answer(self, request: bytes, *, client: object) -> bytes | None:
        """The answer to *request* that came from *client*, gunicorn's address of a peer; None: not here."""
        poll = read_poll_request(request)
        if poll is None or not isinstance(client, tuple):
            return None
        answer = self._lane.answer_at_once(poll, peer=client[0])
        if answer is None:
            return None
        headers, body = answer
        lines = [f"{name}: {value}\r\n" for name, value in headers]
        return f"{self._first_lines()}{''.join(lines)}\r\n".encode("latin-1") + body

    def _first_lines(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second = second
            date = http_date(second)
            self._begin = f"HTTP/1.1 200 OK\r\nServer: {SERVER}\r\nDate: {date}\r\nConnection: keep-alive\r\n"
        return self._begin
