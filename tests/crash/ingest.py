"""The server, killed in the middle of an ingest: nothing half-published, nothing acknowledged but lost.

One `Trial` is a portal with one release, and a bundle with another. `kill(way, point)` restores its disk to
that, starts the real server, lets strace kill the worker at the point while the bundle is uploaded, kills
what is left of the server, and looks: at the disk as it lies there, and again once the server has started
anew and the upload has been repeated.
"""

import base64
import http.client
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil

from engineshed_packages.repository.releases import ReleaseTerms
from engineshed_server.wiring import open_portal
from tests.crash.points import Point, Seen, dry_run, is_alive, killed_at, read_calls
from tests.crash.soundness import faults
from tests.server.running import RunningPortal
from tests.server.serve.processes import wait_until

HONEST = ("-P", "-m", "engineshed_server.cli")
ROW_FIRST = ("-m", "tests.crash.row_first")
SOURCE = Path(__file__).parents[2]
PATIENCE_S = 30.0
_GONE = (OSError, http.client.HTTPException)
_TUS = {"Tus-Resumable": "1.0.0"}


@dataclass
class Heard:
    """What the sender was told before the server was gone.

    `is_received`: all its bytes are durable. `is_published`: the release is published.
    """

    is_received: bool = False
    is_published: bool = False


@dataclass
class Verdict:
    """What came of one kill; `wrong` is empty when all was right."""

    point: Point
    was_killed: bool
    wrong: list[str] = field(default_factory=list)


class Trial:
    """A portal in `folder` whose vendor has published 1.0.0 and has a bundle of 1.1.0 with notes to send."""

    def __init__(self, folder: Path, *, program: Sequence[str] = HONEST) -> None:
        os.environ["PYTHONPATH"] = str(SOURCE)  # where the wrong variant is found
        self.here = RunningPortal(folder)
        self._program = program
        self.here.publish("1.0.0")
        self.here.vendor.release("1.1.0", terms=ReleaseTerms(notes=self.here.vendor.notes()))
        self.bundle = self.here.vendor.bundle("1.1.0").read_bytes()
        self._before = folder / "before"
        self._log = folder / "strace.log"
        shutil.copytree(self._data, self._before)

    @property
    def _data(self) -> Path:
        return self.here.settings.data_dir

    def end(self) -> None:
        self.here.end()

    def calls(self, way: "Way") -> list[Seen]:
        """The mutating calls of the worker from the first byte of an upload to its outcome."""
        self._restore()
        worker = self._start()
        with dry_run(worker, self._log):
            heard = way(self)
        self._kill_server()
        assert heard.is_published, self.here.log.read_text("utf-8")
        return read_calls(self._log)

    def kill(self, way: "Way", point: Point) -> Verdict:
        """Kill the worker at `point` of an upload, and judge what is left."""
        self._restore()
        worker = self._start()
        with killed_at(worker, point, self._log):
            heard = way(self)
        verdict = Verdict(point, was_killed=not is_alive(worker))
        self._kill_server()
        verdict.wrong += self._judge("as it was left")
        self._start()
        if heard.is_received:
            # Nobody has to send it again, nor to ask.
            self._expect(verdict, lambda: "1.1.0" in self._listed(), "acknowledged, and lost")
        self._retry(verdict, way)
        self._kill_server()
        verdict.wrong += self._judge("in the end")
        return verdict

    def _retry(self, verdict: Verdict, way: "Way") -> None:
        for attempt in ("the retry", "one more upload"):
            if not way(self).is_published:
                verdict.wrong.append(f"{attempt} did not publish it")
            if self._listed() != ["1.1.0", "1.0.0"]:
                verdict.wrong.append(f"after {attempt} {self._listed()} are listed")

    def _expect(self, verdict: Verdict, fact: Callable[[], bool], otherwise: str) -> None:
        until_s = time.monotonic() + PATIENCE_S
        while not fact():
            if time.monotonic() > until_s:
                verdict.wrong.append(otherwise)
                return
            time.sleep(0.05)

    def _judge(self, when: str) -> list[str]:
        cache = self.here.folder / "updater"
        shutil.rmtree(cache, ignore_errors=True)
        with closing(open_portal(self.here.settings)) as portal:
            found = faults(portal, root=self.here.vendor.root, cache=cache, now=datetime.now(UTC))
        return [f"{when}: {fault}" for fault in found]

    def _restore(self) -> None:
        shutil.rmtree(self._data)
        shutil.copytree(self._before, self._data)

    def _start(self) -> int:
        """Start the server; the process id of its worker."""
        process = self.here.start("web", program=self._program)
        workers = psutil.Process(process.pid).children()
        assert len(workers) == 1, workers
        return workers[0].pid

    def _kill_server(self) -> None:
        process = self.here.process
        assert process is not None
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        for child in children:  # they die with their master; waited for, so that the disk lies still
            with suppress(psutil.NoSuchProcess):
                child.send_signal(signal.SIGKILL)
        wait_until(lambda: not any(is_alive(child.pid) for child in children), "the server is gone")

    # --- what a sender says and hears ----------------------------------------------------------------------

    def ask(
        self, method: str, path: str, body: bytes = b"", **headers: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        every = {"Authorization": f"Bearer {self.here.token}", **named}
        with closing(self.here.connect()) as connection:
            connection.request(method, path, body, every)
            answer = connection.getresponse()
            return answer.status, {**answer.headers}, answer.read()

    def _listed(self) -> list[str]:
        _, _, body = self.ask("GET", "/api/v1/releases")
        return [release["version"] for release in json.loads(body)["releases"]]


Way = Callable[[Trial], Heard]


def by_put(trial: Trial) -> Heard:
    """The simple upload: one request, and its answer is the outcome."""
    try:
        status, _, body = trial.ask("PUT", "/api/v1/bundles/bundle.zip", trial.bundle)
    except _GONE:
        return Heard()
    assert status in (200, 201), body
    return Heard(is_received=True, is_published=True)


def by_tus(trial: Trial) -> Heard:
    """A resumable upload in two pieces, then the question what became of it."""
    heard = Heard()
    half = len(trial.bundle) // 2
    name = base64.b64encode(b"bundle.zip").decode()
    try:
        length = str(len(trial.bundle))
        announced = {"Upload_Length": length, "Upload_Metadata": f"filename {name}", **_words(_TUS)}
        status, headers, body = trial.ask("POST", "/api/v1/uploads", b"", **announced)
        assert status == 201, body
        path = headers["Location"].removeprefix(trial.here.address)
        for offset, piece in ((0, trial.bundle[:half]), (half, trial.bundle[half:])):
            sent = {"Content_Type": "application/offset+octet-stream", "Upload_Offset": str(offset)}
            status, _, body = trial.ask("PATCH", path, piece, **sent, **_words(_TUS))
            assert status == 204, body
        heard.is_received = True
        until_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < until_s:
            _, _, body = trial.ask("GET", path)
            state = json.loads(body)["state"]
            assert state != "failed", body
            if state == "done":
                heard.is_published = True
                return heard
            time.sleep(0.05)
    except _GONE:
        pass
    return heard


def _words(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("-", "_"): value for name, value in headers.items()}


WAYS: Mapping[str, Way] = {"put": by_put, "tus": by_tus}
