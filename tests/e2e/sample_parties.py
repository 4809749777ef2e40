"""Support, a portal and hosts of the sample engine, as real processes on one machine.

    vendor = SampleVendor(folder, products=("sample-a", "sample-b"))
    with PortalProcess(folder, vendor) as portal:
        portal.upload(vendor.bundle("sample-a", "1.1.0"))
        with EngineHost(folder / "a", portal, vendor, product="sample-a") as host:
            host.client("update")

One portal serves several products, so that tests do not see each other's releases.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import engineshed_packages
from engineshed_client.agent import open_base
from engineshed_client.settings import load_settings
from engineshed_packages.builder import build_package
from engineshed_packages.target import Target
from engineshed_packages.transport import FilePart, HttpClient
from engineshed_packages.versions import Version
from tests.client.little_engine import wait_until
from tests.vendor import Vendor

SAMPLE = Path(engineshed_packages.__file__).parent / "sample"
COMMAND_S = 90
MAX_JSON_BYTES = 4 * 1024 * 1024
ENGINE_SETTINGS = {
    "good_ticks": 2,
    "max_ticks": 6,
    "probe_timeout_s": 1,
    "stop_timeout_s": 3,
}


def _command(program: str) -> str:
    return str(Path(sysconfig.get_path("scripts")) / program)


def _surroundings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("ENGINESHED_")}


def keep_port() -> socket.socket:
    """A socket with a port of its own, bound but not listening: nobody else is given that port meanwhile."""
    keeper = socket.socket()
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeper.bind(("127.0.0.1", 0))
    return keeper


class SampleVendor:
    """Support: the sample engine under several product names."""

    def __init__(self, folder: Path, *, products: Sequence[str]) -> None:
        self.vendor = Vendor(folder, products=products)
        self._overlays = folder / "overlays"
        self._output = folder / "sample-packages"
        self._output.mkdir()

    @property
    def root_file(self) -> Path:
        """The root to hand out."""
        return self.vendor.root_file

    def release(self, product: str, version: str, *, files: Mapping[str, bytes] | None = None) -> Target:
        """Build, sign and publish *version* (1.0.0 or 1.1.0) of the sample engine as *product*.

        Args:
            files: more of them, by path.
        """
        overlay = self._overlays / product
        overlay.mkdir(parents=True, exist_ok=True)
        text = (SAMPLE / "common" / "package.toml").read_text().replace("sample-engine", product)
        for path, data in {"package.toml": text.encode(), **(files or {})}.items():
            (overlay / path).parent.mkdir(parents=True, exist_ok=True)
            (overlay / path).write_bytes(data)
        sources = [SAMPLE / "common", SAMPLE / version, overlay]
        package = build_package(
            sources, version=Version.parse(version), platform="any", output=self._output
        ).path
        return self.vendor.release(version, product=product, packages=[package])

    def bundle(self, product: str, version: str, *, files: Mapping[str, bytes] | None = None) -> Path:
        """Release *version* unless it was, and write its bundle."""
        self.release(product, version, files=files)
        return self.vendor.bundle(version, product=product)


class PortalProcess:
    """A portal: ``engineshed-server run`` on a free port; a context manager.

    Args:
        database_url: None for SQLite in its folder. owner_url: of who may make the tables, at ``init``.
        settings: lines of its portal.toml, in tables other than portal, web and engines.
    """

    def __init__(
        self,
        folder: Path,
        root_file: Path,
        *,
        workers: int = 1,
        database_url: str | None = None,
        owner_url: str | None = None,
        settings: str = "",
    ) -> None:
        self._port_keeper = keep_port()
        self.port = self._port_keeper.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.data = folder / "portal"
        self.log = folder / "portal.log"
        self._config = folder / "portal.toml"
        self._config.write_text(
            f'[portal]\npublic_url = "{self.url}"\ndata_dir = "{self.data}"\n'
            f"[web]\nworkers = {workers}\n[engines]\npoll_s = 1\n[jobs]\nworkers = 0\n{settings}"
        )
        self._environment = _surroundings()
        if owner_url is not None:
            self._environment["ENGINESHED_DATABASE_URL"] = owner_url
        self.run("init", "--root", str(root_file))
        if database_url is not None:
            self._environment["ENGINESHED_DATABASE_URL"] = database_url

    def __enter__(self) -> Self:
        self._start()
        self._token = self.run("token", "create", "--scope", "admin").strip()
        self.lasting_line = self.line("--uses", "1000")
        self._wait_until_ready()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._port_keeper.close()

    def start(self) -> None:
        """Start it again, at the address it had."""
        self._start()
        self._wait_until_ready()

    def _start(self) -> None:
        with socket.create_server(("127.0.0.1", self.port)) as listener, self.log.open("ab") as log:
            fd = listener.fileno()
            self._process = subprocess.Popen(
                [_command("engineshed-server"), "run", "--config", str(self._config), "--fd", str(fd)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[fd],
                env=self._environment,
            )

    def _wait_until_ready(self) -> None:
        wait_until(lambda: page(f"{self.url}/readyz") is not None)

    def stop(self) -> None:
        """End it; nobody answers at its address until it is started again."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.wait(COMMAND_S)

    @property
    def pid(self) -> int:
        """Of the parent of its processes."""
        return self._process.pid

    def run(self, *words: str) -> str:
        """Run a command of the server; its stdout."""
        done = self.try_to(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def try_to(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the server to its end, however it ends."""
        command = [_command("engineshed-server"), *words, "--config", str(self._config)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=COMMAND_S, env=self._environment
        )

    def read(self, *words: str) -> dict[str, Any]:
        """Run a command of the server that prints JSON; its values, of any shape."""
        values: dict[str, Any] = json.loads(self.run(*words))
        return values

    def ask(self, method: str, path: str, values: Mapping[str, object]) -> dict[str, Any]:
        """Send *values* to the API as an administrator; the JSON it answers, of any shape."""
        request = urllib.request.Request(
            f"{self.url}/api/v1{path}",
            method=method,
            data=json.dumps(values).encode(),
            headers={
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json",
                "If-Match": "*",
            },
        )
        with urllib.request.urlopen(request, timeout=COMMAND_S) as answer:
            told: dict[str, Any] = json.loads(answer.read(MAX_JSON_BYTES))
        return told

    def upload(self, bundle: Path) -> dict[str, Any]:
        """Put *bundle* on the portal; what it answers."""
        with HttpClient() as client:
            url = f"{self.url}/api/v1/bundles/{bundle.name}"
            sent = client.send("PUT", url, token=self._token, headers={}, body=FilePart.whole(bundle))
        answer: dict[str, Any] = json.loads(sent.body)
        return answer

    @property
    def token(self) -> str:
        """An administrator's API token."""
        return self._token

    def line(self, *words: str) -> str:
        """A fresh enrolment line."""
        return self.run("enrol-token", "create", *words).strip()

    def engine(self, engine: str) -> dict[str, Any]:
        """What the portal shows of *engine*: JSON, of any shape."""
        return self.look(f"/engines/{engine}")

    def look(self, path: str) -> dict[str, Any]:
        """What the API shows an administrator at *path*: JSON, of any shape."""
        with (
            HttpClient() as client,
            client.stream(
                "GET", f"{self.url}/api/v1{path}", token=self._token, max_bytes=MAX_JSON_BYTES
            ) as answer,
        ):
            shown: dict[str, Any] = json.loads(b"".join(answer.chunks))
        return shown


class EngineHost:
    """A host: a base with its updater and a sample engine; a context manager that ends the engine.

    Attributes:
        program: the words that run the updater.
    """

    def __init__(
        self,
        base: Path,
        *,
        product: str,
        root_file: Path,
        settings: Mapping[str, object] | None = None,
        environment: Mapping[str, str] | None = None,
        updater_environment: Mapping[str, str] | None = None,
    ) -> None:
        self.base = base
        self.product = product
        self._root_file = root_file
        self.environment = {**_surroundings(), **(updater_environment or {})}
        self.program = [_command("engineshed-client")]
        self._updaters: list[subprocess.Popen[bytes]] = []
        self._port_keeper = keep_port()
        self.url = f"http://127.0.0.1:{self._port_keeper.getsockname()[1]}"
        env = {
            "SAMPLE_ENGINE_PORT": self.url.rpartition(":")[2],
            "SAMPLE_ENGINE_START_DELAY_S": "0.2",
            **(environment or {}),
        }
        pairs = ", ".join(f"{name} = {json.dumps(value)}" for name, value in env.items())
        engine = {**ENGINE_SETTINGS, "probe_url": f"{self.url}/health", **(settings or {})}
        lines = [f"{name} = {json.dumps(value)}" for name, value in engine.items()]
        (base / "update").mkdir(parents=True, exist_ok=True)
        (base / "update" / "updater.toml").write_text(
            f'product = "{product}"\nplatform = "linux-x86_64"\npoll_s = 1\n[engine]\nenv = {{{pairs}}}\n'
            + "\n".join(lines)
            + "\n"
        )

    def __enter__(self) -> Self:
        return self

    def stop_updaters(self) -> None:
        """End what ``start_updater`` started."""
        for updater in self._updaters:
            if updater.poll() is None:
                updater.kill()
            updater.wait(COMMAND_S)
        self._updaters.clear()

    def __exit__(self, *_: object) -> None:
        self.stop_updaters()
        open_base(load_settings(self.base, environ={}, flags={})).supervisor.stop(2)
        self._port_keeper.close()
        shutil.rmtree(self.base)

    def client(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command of the updater to its end."""
        return subprocess.run(
            [*self.program, "--base", str(self.base), "--no-progress", *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            env=self.environment,
        )

    def enrol(self, line: str) -> subprocess.CompletedProcess[str]:
        """Join the portal that made *line*."""
        return self.client("enrol", "--trusted-root", str(self._root_file), stdin=line + "\n")

    def start_updater(self, *words: str) -> subprocess.Popen[bytes]:
        """Start ``engineshed-client run``; it is ended with the host."""
        with (self.base / "updater.log").open("ab") as log:
            updater = subprocess.Popen(
                [*self.program, "--base", str(self.base), "run", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
            )
        self._updaters.append(updater)
        return updater

    @property
    def engine_id(self) -> str:
        """The identity the portal gave."""
        values = json.loads((self.base / "update" / "credentials.json").read_text())
        return str(values["engine"])

    @property
    def version(self) -> str | None:
        """What the running engine says of itself over HTTP; None when it does not answer."""
        text = page(f"{self.url}/version")
        return None if text is None else str(json.loads(text)["version"])

    @property
    def process(self) -> str:
        """Identity of the engine's process as it stands on disk."""
        return (self.base / "update" / "work" / "service.json").read_text()

    @property
    def pid(self) -> int | None:
        """Of the engine's process as it stands on disk; None when it is not meant to run."""
        if not (self.base / "update" / "work" / "service.json").exists():
            return None
        return int(json.loads(self.process)["identity"].partition(":")[0])

    @property
    def heard(self) -> str:
        """What its portal said last, as ``status`` tells it: code and text."""
        path = self.base / "update" / "work" / "heard.json"
        values = json.loads(path.read_text()) if path.exists() else {"code": "", "text": ""}
        return f"{values['code']}: {values['text']}"

    @property
    def updater(self) -> subprocess.Popen[bytes]:
        """The updater started last."""
        return self._updaters[-1]

    @property
    def cycles(self) -> int:
        """How many cycles its updaters have ended so far."""
        path = self.base / "updater.log"
        return path.read_text().count("cycle ended") if path.exists() else 0

    def log(self, event: str) -> list[str]:
        """The lines of update.log about *event*."""
        path = self.base / "update" / "work" / "logs" / "update.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if line.split(" ")[1] == event]


def page(url: str) -> str | None:
    """The page at *url*; None when nobody answers, or not with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())
    except (urllib.error.URLError, OSError):
        return None
