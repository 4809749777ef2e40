"""A portal as it runs in earnest: `engineshed-server run` as a process tree of its own, on a free port."""

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from engineshed_packages.enrolment import EnrolAnswer, EnrolLine, EnrolRequest, TokenAnswer, TokenRequest
from engineshed_packages.versions import Version
from engineshed_server.domain.actors import Actor
from engineshed_server.serve.listening import address_of, listen
from engineshed_server.services import api_tokens
from engineshed_server.services.api_tokens import Scope
from engineshed_server.services.enrol_tokens import EnrolTerms, create_enrol_token
from engineshed_server.services.ingest import ingest_bundle
from engineshed_server.services.setup import initialise
from engineshed_server.settings import Settings, load_settings
from engineshed_server.wiring import open_portal
from tests.server.databases.sqlite import lay_database
from tests.server.serve.processes import end_all, processes_of, wait_until
from tests.vendor import PRODUCT, Vendor


class RunningPortal:
    """A portal in `folder`; what operators do from a shell is done in this process, the rest over HTTP."""

    def __init__(
        self, folder: Path, *, workers: int = 1, settings: Mapping[str, str | int] | None = None
    ) -> None:
        self.folder = folder
        self.vendor = Vendor(folder)
        self.log = folder / "portal.log"
        self.config = folder / "portal.toml"
        self._listener = listen("127.0.0.1:0")
        self.address = address_of(self._listener)
        self.port = int(self._listener.getsockname()[1])
        values: dict[str, str | int] = {
            "portal.public_url": self.address,
            "portal.data_dir": str(folder / "data"),
            "web.workers": workers,
            "engines.poll_s": 1,
            "jobs.workers": 0,  # whoever needs them says so
            "limits.upload_bytes": 1_000_000_000,
            **(settings or {}),
        }
        # Dotted names are TOML as they stand; JSON writes its texts and numbers.
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in values.items()]
        self.config.write_text("".join(lines), "utf-8")
        self.settings: Settings = load_settings(self.config, {})
        if settings is None or "database.url" not in settings:
            lay_database(folder / "data")
        initialise(self.settings, root=self.vendor.root, now=datetime.now(UTC))
        self.token = self.make_token(Scope.ADMIN)
        self.process: subprocess.Popen[bytes] | None = None

    def make_token(self, scope: Scope) -> str:
        """A new API token."""
        with closing(open_portal(self.settings)) as portal:
            made = api_tokens.create_api_token(
                portal, name="test", scope=scope, actor=Actor("test"), now=datetime.now(UTC)
            )
        return made.secret

    def publish(self, version: str, *, files: dict[str, bytes] | None = None) -> str:
        """Releases `version` and takes its bundle in; the path of its package below the address."""
        target = self.vendor.release(version, files=files)
        with closing(open_portal(self.settings)) as portal:
            ingest_bundle(portal, self.vendor.bundle(version), actor=Actor("test"), now=datetime.now(UTC))
        return f"/repo/v1/vendor/targets/{target.download_name}"

    def start(
        self,
        command: str = "run",
        *,
        under: Sequence[str] = (),
        program: Sequence[str] = ("-P", "-m", "engineshed_server.cli"),
    ) -> subprocess.Popen[bytes]:
        """Starts the portal and waits until it is ready.

        Args:
            under: what the command runs under. program: how Python is told to start it.
        """
        descriptor = self._listener.fileno()
        words = [*under, sys.executable, *program, command]
        words += ["--config", str(self.config), "--fd", str(descriptor)]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(words, stdout=output, stderr=output, pass_fds=[descriptor])
        wait_until(self.is_ready, "the portal is ready")
        return self.process

    def connect(self, timeout_s: float = 20.0) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=timeout_s)

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        with closing(self.connect()) as connection:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def is_ready(self) -> bool:
        assert self.process is None or self.process.poll() is None, self.log.read_text("utf-8")
        try:
            return self.get("/readyz")[0] == 200
        except OSError:
            return False

    def processes(self) -> list[int]:
        """Process ids of the portal, the parent first."""
        return sorted(process.pid for process in processes_of(self.folder))

    def enrol_line(self) -> EnrolLine:
        """What an admin pastes on one host."""
        with closing(open_portal(self.settings)) as portal:
            made = create_enrol_token(portal, EnrolTerms(), actor=Actor("test"), now=datetime.now(UTC))
        return made.line

    def enrol(
        self, version: str | None = "1.0.0", *, post: Callable[[str, bytes], bytes] | None = None
    ) -> tuple[EnrolAnswer, str]:
        """An engine's identity and its first access token, over HTTP; `post` sends by another way."""
        send = post or (lambda path, body: self.post(path, body)[1])
        wanted = EnrolRequest(
            token=self.enrol_line().token,
            product=PRODUCT,
            platform="linux-x86_64",
            version=None if version is None else Version.parse(version),
            host_name="host-1",
            updater_version="0.1.0",
        )
        joined = EnrolAnswer.from_bytes(send("/api/v1/enrol", wanted.to_bytes()))
        asked = TokenRequest(engine=joined.engine, secret=joined.secret)
        got = TokenAnswer.from_bytes(send("/api/v1/token", asked.to_bytes()))
        return joined, got.access_token

    def post(self, path: str, body: bytes, **headers: str) -> tuple[int, bytes]:
        with closing(self.connect()) as connection:
            connection.request("POST", path, body, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def kill(self) -> None:
        """Kills the portal with all its processes, as a power cut would; `start` starts it again."""
        assert self.process is not None
        below = psutil.Process(self.process.pid).children(recursive=True)
        for pid in (self.process.pid, *(one.pid for one in below)):
            kill_quietly(pid, signal.SIGKILL)
        self.process.wait()
        wait_until(lambda: not any(one.is_running() for one in below), "all processes are gone")

    def workers(self) -> list[int]:
        """Process ids of those that answer requests."""
        assert self.process is not None
        (gunicorn,) = psutil.Process(self.process.pid).children()
        return [one.pid for one in gunicorn.children()]

    def end(self) -> None:
        """Ends what runs, also after a failed test."""
        self._listener.close()
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(40)
            finally:
                end_all(self.folder)
                self.process.wait()


def kill_quietly(pid: int, number: int) -> None:
    """Sends a signal to a process that may be gone already."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
