"""gunicorn's worker with threads, made to bear slow peers and to speak in problems.

Slow peers: see ``api.connections``. Besides, gunicorn waits up to two seconds for the peer of every
connection it closes, in the one thread that accepts: here the thread that answered waits.

What gunicorn cannot parse never reaches the application; its answer in HTML is turned into problem+json.
"""

from __future__ import annotations

# gunicorn carries no type information, hence what is made of its classes is unchecked as well.
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from engineshed_packages.ids import new_id
from engineshed_server import problems
from engineshed_server.api.connections import Connection


class Worker(ThreadWorker):  # type: ignore[misc]  # its base is unchecked, see above
    """One process with a pool of threads. The arguments are gunicorn's own."""

    def enqueue_req(self, conn: object) -> None:
        """Hand a connection that has something to say to a thread."""
        accepted = conn.sock  # type: ignore[attr-defined]
        if not isinstance(accepted, Connection):
            conn.sock = Connection(accepted.detach())  # type: ignore[attr-defined]
        super().enqueue_req(conn)

    def handle(self, conn: object) -> object:
        """Read one request and answer it; false when the connection is to be closed."""
        connection: Connection = conn.sock  # type: ignore[attr-defined]
        connection.await_head()
        result: object = super().handle(conn)
        if result is False:
            connection.end()
        return result

    def handle_request(self, req: object, conn: object) -> object:
        """Let the application answer."""
        connection: Connection = conn.sock  # type: ignore[attr-defined]
        connection.begin_answer(close_after=req.force_close)  # type: ignore[attr-defined]
        return super().handle_request(req, conn)

    def handle_error(self, req: object, client: Connection, addr: object, exc: Exception) -> None:
        """Answer a request that cannot be parsed; gunicorn picks the status and writes the log."""
        page = _Page()
        super().handle_error(req, page, addr, exc)
        try:
            client.setblocking(False)  # as gunicorn does: nobody waits for a peer that does not read
            client.sendall(_as_problem(page.status))
        except OSError:
            return


class _Page:
    """Takes the place of the peer while gunicorn writes its page."""

    def __init__(self) -> None:
        self.status = 400

    def gettimeout(self) -> float:
        return 0.0

    def sendall(self, data: bytes) -> None:
        self.status = int(data.split(b" ", 2)[1])


def _as_problem(status: int) -> bytes:
    problem = problems.of_status(status, method="", path="", instance=new_id("req"))
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
