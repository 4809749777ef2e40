"""The sample engine: a small HTTP service that can be updated, probed, and made to fail in known ways.

It needs Python 3.11 and nothing else, and lives in the folder above this file:

    VERSION              its version
    conf/engine.toml     the customer's settings; SAMPLE_ENGINE_<SETTING> in the environment goes before it
    ext/lib/             the customer's own libraries, listed at /
    share/greeting.txt   what it says at /
    logs/engine.log      its log
    data/state.json      its state: how often it was started, and where it listens now

    GET /          a page of text
    GET /health    200 {"status": "good", "version": …} or 503 {"status": "bad", …}
    GET /version   200 {"version": …}

SIGTERM or SIGINT ends it with 0. A setting ``behaviour`` makes it fail, always or in one version only:
see BEHAVIOURS.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
import tomllib
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType

BEHAVIOURS = {
    "good": "works",
    "exit-at-once": "ends with 3 before it listens",
    "exit-later": "works, and ends with 3 after fail_after_s",
    "hang": "accepts connections and never answers",
    "wrong-version": "works, and says that it is version 0.0.1",
    "ignore-sigterm": "works, and does not stop when it is asked to",
    "flip-flop": "is well and unwell in turn, at each question",
    "slow-start": "listens only after slow_start_s",
}
WRONG_VERSION = "0.0.1"
FAILURE_EXIT_CODE = 3

log = logging.getLogger("engine")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What conf/engine.toml and the environment say.

    ``port`` 0 takes a free one, to be read from data/state.json. All times are in seconds.
    """

    host: str
    port: int
    start_delay_s: float
    slow_start_s: float
    fail_after_s: float
    behaviour: str

    @classmethod
    def load(cls, home: Path, version: str) -> Settings:
        """Read the settings of the engine in *home*; ValueError names what is wrong."""
        conf = tomllib.loads((home / "conf" / "engine.toml").read_text(encoding="utf-8"))

        def setting(name: str, default: object) -> object:
            return os.environ.get(f"SAMPLE_ENGINE_{name.upper()}", conf.get(name, default))

        behaviour = choose_behaviour(setting("behaviour", "good"), version)
        if behaviour not in BEHAVIOURS:
            raise ValueError(f"behaviour is {behaviour!r}, expected one of {', '.join(BEHAVIOURS)}")
        return cls(
            host=str(setting("host", "127.0.0.1")),
            port=int(str(setting("port", 8750))),
            start_delay_s=float(str(setting("start_delay_s", 1))),
            slow_start_s=float(str(setting("slow_start_s", 30))),
            fail_after_s=float(str(setting("fail_after_s", 3))),
            behaviour=behaviour,
        )


def choose_behaviour(value: object, version: str) -> str:
    """The behaviour of *version*: *value* is a table by version, ``<version>=<behaviour>`` or a behaviour."""
    if isinstance(value, dict):
        return str(value.get(version, "good"))
    bound_to, separator, behaviour = str(value).rpartition("=")
    return behaviour if not separator or bound_to == version else "good"


class State:
    """data/state.json, replaced whole at every change."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def starts(self) -> int:
        """How often the engine was started so far."""
        try:
            return int(json.loads(self._path.read_text(encoding="utf-8"))["starts"])
        except FileNotFoundError:
            return 0
        except (ValueError, KeyError, TypeError) as err:
            log.warning("state unreadable, counting from 0: %s", err)
            return 0

    def save(self, **values: int | str | None) -> None:
        """Replace the state by *values*, durably."""
        temporary = self._path.with_suffix(".tmp")
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(values, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self._path)


class Server(ThreadingHTTPServer):
    """The HTTP server and what its pages show."""

    daemon_threads = True
    # On Windows the option would let a second engine listen at the same port.
    allow_reuse_address = sys.platform != "win32"

    def __init__(self, home: Path, version: str, settings: Settings, starts: int) -> None:
        super().__init__((settings.host, settings.port), Handler)
        self.home = home
        self.version = WRONG_VERSION if settings.behaviour == "wrong-version" else version
        self.behaviour = settings.behaviour
        self.starts = starts
        self._questions = 0
        self._lock = threading.Lock()

    def is_well(self) -> bool:
        """Health at this moment."""
        if self.behaviour != "flip-flop":
            return True
        with self._lock:
            self._questions += 1
            return self._questions % 2 == 1

    def page(self) -> str:
        """The text at /."""
        greeting = (self.home / "share" / "greeting.txt").read_text(encoding="utf-8").strip()
        libraries = sorted(path.name for path in (self.home / "ext" / "lib").glob("*"))
        lines = [
            greeting,
            f"version {self.version}",
            f"start {self.starts}",
            f"ext/lib: {', '.join(libraries)}",
        ]
        return "\n".join(lines) + "\n"


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    server: Server
    timeout = 30

    def do_GET(self) -> None:
        """Answer /, /health and /version; anything else is 404."""
        if self.server.behaviour == "hang":
            threading.Event().wait()
        path = self.path.partition("?")[0]
        if path == "/health":
            well = self.server.is_well()
            answer = {"status": "good" if well else "bad", "version": self.server.version}
            self._answer(200 if well else 503, "application/json", json.dumps(answer))
        elif path == "/version":
            self._answer(200, "application/json", json.dumps({"version": self.server.version}))
        elif path == "/":
            self._answer(200, "text/plain; charset=utf-8", self.server.page())
        else:
            self._answer(404, "text/plain; charset=utf-8", "not found\n")

    def _answer(self, status: int, content_type: str, text: str) -> None:
        body = text.encode("utf-8")
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Into the engine's log rather than to stderr."""
        log.info("%s %s", self.address_string(), format % args)


class Stop:
    """Set by a signal; everything that waits waits for it."""

    def __init__(self, behaviour: str) -> None:
        self._event = threading.Event()
        self._ignores = behaviour == "ignore-sigterm"

    def listen(self) -> None:
        """Take over the signals that ask a process to end."""
        signal.signal(signal.SIGTERM, self._asked)
        signal.signal(signal.SIGINT, self._asked)
        if sys.platform == "win32":
            signal.signal(signal.SIGBREAK, self._asked)

    def _asked(self, number: int, _frame: FrameType | None) -> None:
        # Nothing is logged here: the signal may have come while the log was being written.
        self._event.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the signal, at most *seconds*; True when it came and is obeyed."""
        end = None if seconds is None else time.monotonic() + seconds
        while end is None or time.monotonic() < end:
            # In short pieces: on Windows a signal is only handled between two of them.
            left = 0.5 if end is None else min(0.5, max(0.0, end - time.monotonic()))
            if not self._event.wait(left):
                continue
            if not self._ignores:
                return True
            self._event.clear()
            log.warning("asked to stop, going on as configured")
        return False


def serve(home: Path, version: str, settings: Settings) -> int:
    """Run the engine until it is asked to stop; the exit code."""
    stop = Stop(settings.behaviour)
    stop.listen()
    state = State(home / "data" / "state.json")
    starts = state.starts() + 1
    state.save(starts=starts, version=version, pid=os.getpid(), port=None)
    log.info(
        "starting version=%s pid=%s start=%s behaviour=%s", version, os.getpid(), starts, settings.behaviour
    )
    if settings.behaviour == "exit-at-once":
        log.error("failing as configured")
        return FAILURE_EXIT_CODE
    slow = settings.behaviour == "slow-start"
    if stop.wait(settings.slow_start_s if slow else settings.start_delay_s):
        log.info("stopped before it listened")
        return 0
    with Server(home, version, settings, starts) as server:
        port = server.server_address[1]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        state.save(starts=starts, version=version, pid=os.getpid(), port=port)
        log.info("listening port=%s", port)
        stopped = stop.wait(settings.fail_after_s if settings.behaviour == "exit-later" else None)
        server.shutdown()
    if not stopped:
        log.error("failing as configured")
        return FAILURE_EXIT_CODE
    log.info("stopped")
    return 0


def main() -> int:
    """Prepare folders and log, then serve."""
    home = Path(__file__).resolve().parent.parent
    for folder in ("logs", "data"):
        (home / folder).mkdir(exist_ok=True)
    handler = logging.FileHandler(home / "logs" / "engine.log", encoding="utf-8")
    formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    version = (home / "VERSION").read_text(encoding="utf-8").strip()
    try:
        return serve(home, version, Settings.load(home, version))
    except (OSError, ValueError) as err:
        log.error("cannot run: %s", err)
        sys.stderr.write(f"sample engine: cannot run: {err}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
