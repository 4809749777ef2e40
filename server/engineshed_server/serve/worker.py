"""gunicorn's worker with threads, made to bear slow peers and to speak in problems.

gunicorn gives a connection to a thread as soon as it is there, and the thread waits: for the request, for
the peer to take a file, in the end for the peer to close. Here threads only work. Who is waited for is
watched with all others by the thread that accepts (``Waiting``): until its request is gathered, and until it
has taken the last answer. Files that a peer takes slowly are sent by the ``Sender``. See ``api.connections``.

A plain poll without news that thread answers itself (``Polls``), one for each time a connection is looked at:
what else is waited for has its turn between any two of one peer.

What gunicorn cannot parse never reaches the application; its answer in HTML is turned into problem+json.
"""

from __future__ import annotations

import logging
import selectors
import time
from concurrent.futures import Future
from functools import partial
from typing import Protocol, cast

# gunicorn carries no type information, hence what is made of its classes is unchecked as well.
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from engineshed_server import problems
from engineshed_server.api.connections import GATHER_S, LINGER_S, Connection, Progress
from engineshed_server.api.request_ids import begin_request, end_request, request_id
from engineshed_server.app import poll_lane
from engineshed_server.serve.polls import Polls
from engineshed_server.serve.sender import Sender
from engineshed_server.serve.waiting import Kept, Peer, Waiting

logger = logging.getLogger(__name__)

STOPPING_S = 2.0  # a request that has begun when the worker stops may still come
_SENDING = object()  # the answer's file is on its way


class _Unreader(Protocol):
    def take_buffered(self) -> bytes: ...


class _Parser(Protocol):
    unreader: _Unreader


class _Conn(Peer, Protocol):
    """The attributes of gunicorn's connections that are used here."""

    client: object
    parser: _Parser
    data_ready: bool

    def set_timeout(self) -> None: ...

    def close(self) -> None: ...


class Worker(ThreadWorker):  # type: ignore[misc]  # its base is unchecked, see above
    """One process with a pool of threads. The arguments are gunicorn's own."""

    def run(self) -> None:
        """Serve until told to stop."""
        self._gathering = Waiting(self.poller, self._gather)
        self._leaving = Waiting(self.poller, self._look_whether_left)
        self.keepalived_conns = Kept()
        self._polls = Polls(poll_lane(self.wsgi))
        self._sender = Sender()
        self._sender.start()
        try:
            super().run()
        finally:
            self._sender.stop()

    # --- by the thread that accepts ------------------------------------------------------------------------

    def enqueue_req(self, conn: _Conn) -> None:
        """Take in a request of a connection that has something to say; a thread gets it once it is here."""
        if not isinstance(conn.sock, Connection):
            conn.sock = Connection(conn.sock.detach())
        conn.data_ready = True
        conn.sock.begin_request()
        self._gather(conn)

    def _gather(self, peer: Peer) -> None:
        progress = peer.sock.gather()
        if progress is Progress.WAITS:
            self._gathering.begin(peer, now_s=time.monotonic())
            return
        self._gathering.end(peer)
        if progress is Progress.ENDED:
            self._drop(peer)
        elif self._answer_poll(cast(_Conn, peer)):
            self._keep(cast(_Conn, peer))
        else:
            super().enqueue_req(peer)

    def on_client_socket_readable(self, conn: _Conn, client: Connection) -> None:
        """Look at a connection that was kept: something has come, or its end."""
        client.begin_request()
        if client.gather() is Progress.READY and self._answer_poll(conn):
            # It stays in the selector, where every change costs a system call.
            self.keepalived_conns.remove(conn)
            conn.set_timeout()
            self.keepalived_conns.append(conn)
        else:
            super().on_client_socket_readable(conn, client)

    def _answer_poll(self, conn: _Conn) -> bool:
        """Whether the request that was gathered is a poll, and has been answered."""
        if not self.alive or len(self.keepalived_conns) >= self.max_keepalived:
            return False  # this answer shall be the last of its connection
        try:
            answer = self._polls.answer(conn.sock.whole_request(), client=conn.client)
        except Exception as err:  # a fault of ours ends one request, never the loop of all
            logger.error("poll not answered at once", exc_info=err)
            return False
        if answer is None:
            return False
        conn.sock.answer_request(answer)
        return True

    def _keep(self, conn: _Conn) -> None:
        """Wait for the connection's next request, as long as gunicorn does."""
        conn.set_timeout()
        self.keepalived_conns.append(conn)
        go_on = partial(self.on_client_socket_readable, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, go_on)

    def murder_pending(self) -> None:
        """Let those go whose time is over."""
        now_s = time.monotonic()
        patience_s = GATHER_S if self.alive else STOPPING_S
        for peer in self._gathering.take_late(begun_before_s=now_s - patience_s):
            if peer.sock.give_up():
                super().enqueue_req(peer)  # to be told that its body came too slowly
            else:
                self._drop(peer)
        for peer in self._leaving.take_late(begun_before_s=now_s - LINGER_S):
            self._drop(peer)

    def finish_request(self, conn: _Conn, fs: Future[object]) -> None:
        """A thread has worked on a request: keep the connection, or end it."""
        result = False if fs.cancelled() or fs.exception() is not None else fs.result()
        if result is not _SENDING:
            self._go_on(conn, keeps=bool(result))

    def _go_on(self, conn: _Conn, *, keeps: bool) -> None:
        if not keeps:
            conn.sock.say_end()
            self._look_whether_left(conn)
        elif conn.sock.give_back(b""):
            self.enqueue_req(conn)
        else:
            done: Future[object] = Future()
            done.set_result(True)
            super().finish_request(conn, done)

    def _look_whether_left(self, peer: Peer) -> None:
        if peer.sock.has_left():
            self._leaving.end(peer)
            self._drop(peer)
        else:
            self._leaving.begin(peer, now_s=time.monotonic())

    def _drop(self, peer: Peer) -> None:
        self.nr_conns -= 1
        cast(_Conn, peer).close()

    # --- by the threads that work --------------------------------------------------------------------------

    def handle(self, conn: _Conn) -> object:
        """Read one request and answer it; false when the connection is to be closed."""
        connection = conn.sock
        connection.await_head()
        result: object = super().handle(conn)
        if result:
            connection.give_back(conn.parser.unreader.take_buffered())
        if not connection.has_more_to_send:
            return result

        def sent(was_sent: bool) -> None:
            self.method_queue.defer(lambda: self._go_on(conn, keeps=bool(result) and was_sent))

        self._sender.send(connection, sent)
        return _SENDING

    def handle_request(self, req: object, conn: _Conn) -> object:
        """Let the application answer."""
        conn.sock.begin_answer(
            close_after=req.force_close,  # type: ignore[attr-defined]
            take_read=conn.parser.unreader.take_buffered,
        )
        return super().handle_request(req, conn)

    def handle_error(self, req: object, client: Connection, addr: object, exc: Exception) -> None:
        """Answer a request that cannot be parsed; gunicorn picks the status and writes the log.

        The line it writes has the id that the answer has.
        """
        page = _Page()
        begin_request(None)
        try:
            super().handle_error(req, page, addr, exc)
            client.setblocking(False)  # as gunicorn does: nobody waits for a peer that does not read
            client.sendall(_as_problem(page.status))
        except OSError:
            return
        finally:
            end_request()


class _Page:
    """Takes the place of the peer while gunicorn writes its page."""

    def __init__(self) -> None:
        self.status = 400

    def gettimeout(self) -> float:
        return 0.0

    def sendall(self, data: bytes) -> None:
        self.status = int(data.split(b" ", 2)[1])


def _as_problem(status: int) -> bytes:
    problem = problems.of_status(status, method="", path="", instance=request_id() or "")
    body = problem.to_bytes()
    lines = [
        f"HTTP/1.1 {problem.status} {problem.title}",
        "Connection: close",
        "Cache-Control: no-store",
        f"Content-Type: {problems.CONTENT_TYPE}",
        f"Content-Length: {len(body)}",
        f"X-Request-ID: {problem.instance}",
    ]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body
