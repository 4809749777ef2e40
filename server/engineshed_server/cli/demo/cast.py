"""Who plays in the demo: the vendor, the portal and the host of an engine, each by its own command."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TypeVar

from engineshed_packages.errors import PackagesError, Unavailable
from engineshed_packages.jsontext import Json, read_object
from engineshed_packages.transport import HttpClient
from engineshed_server.cli.demo.pausing import pause
from engineshed_server.cli.demo.stage import DemoFailed, Stage
from engineshed_server.serve.listening import address_of, listen

T = TypeVar("T")

PRODUCT = "sample-engine"
PATIENCE_S = 40.0
LOOK_S = 0.1
MAX_ANSWER_BYTES = 1024 * 1024


def wait_for(look: Callable[[], T | None], what: str) -> T:
    """Return what *look* finds as soon as it finds something.

    Raises:
        DemoFailed: it found nothing for forty seconds.
        Ended: a signal came meanwhile.
    """
    deadline_s = time.monotonic() + PATIENCE_S
    while (found := look()) is None:
        if time.monotonic() > deadline_s:
            raise DemoFailed(f"waited {PATIENCE_S:.0f} s in vain: {what}")
        pause(LOOK_S)
    return found


class Vendor:
    """Support: keys, packages, releases, bundles."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._folder = stage.folder / "vendor"
        self._folder.mkdir()
        self._passphrase = self._folder / "passphrase"
        self._passphrase.touch(0o600)
        self._passphrase.write_text(secrets.token_urlsafe(24), "utf-8")
        self.root = self._folder / "root.json"

    def make_keys(self) -> None:
        """Throw-away keys and an empty repository."""
        one_key = ("--root-keys", "1", "--threshold", "1")
        self._run("keys", "init", "--product", PRODUCT, *one_key, "--root-out", self.root, *self._signing())

    def release(self, version: str, message: str) -> Path:
        """Build, sign and publish *version* of the sample engine; the path of its bundle."""
        sample = Path(str(resources.files("engineshed_packages"))) / "sample"
        packages = self._folder / "packages"
        sources = (sample / "common", sample / version)
        built = json.loads(self._run("build", *sources, "--version", version, "--output", packages, "--json"))
        self._run("release", built["package"], "--message", message, *self._signing())
        bundle = self._folder / f"{PRODUCT}-{version}-bundle.zip"
        self._run("bundle", PRODUCT, version, "--output", bundle, *self._repository())
        return bundle

    def _run(self, *words: str | Path) -> str:
        return self._stage.run("engineshed-packages", *words)

    def _repository(self) -> tuple[str | Path, ...]:
        return ("--repository", self._folder / "repository")

    def _signing(self) -> tuple[str | Path, ...]:
        keys = ("--keys", self._folder / "keys", "--passphrase-file", self._passphrase)
        return (*self._repository(), *keys)


class PortalSide:
    """The admin's portal: SQLite and local files in the stage's folder."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._folder = stage.folder / "portal"
        self._folder.mkdir()
        self._config = self._folder / "portal.toml"
        self._token_file = self._folder / "token"
        self._http = HttpClient(user_agent="engineshed-demo", deadline_s=10)
        self._process: subprocess.Popen[bytes] | None = None
        self.address = ""
        self.token = ""

    def start(self, root: Path) -> None:
        """Make the portal, start it on a free port and wait until it is ready."""
        listener = listen("127.0.0.1:0")
        self.address = address_of(listener)
        self._write_config()
        self._run("init", "--root", root)
        descriptor = listener.fileno()
        words = ("run", "--config", self._config, "--fd", str(descriptor))
        self._process = self._stage.start(
            "engineshed-server", *words, log="portal.log", descriptors=[descriptor]
        )
        listener.close()  # from here on it is the portal's: connections are refused when that is gone
        wait_for(self._ready, "the portal is ready")

    def _write_config(self) -> None:
        lines = [
            "[portal]",
            'name = "Demo portal"',
            f'public_url = "{self.address}"',
            f'data_dir = "{self._folder / "data"}"',
            "[web]",
            "workers = 1",
            "[engines]",
            "poll_s = 1",
        ]
        self._config.write_text("\n".join(lines) + "\n", "utf-8")

    def check_alive(self) -> None:
        """Raises DemoFailed when the portal has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise DemoFailed(f"the portal ended by itself with {self._process.returncode}")

    def _ready(self) -> bool | None:
        self.check_alive()
        try:
            self._get("/readyz")
        except Unavailable:
            return None
        return True

    def make_token(self) -> None:
        """An API token for the admin, kept in a file for ``upload``."""
        self.token = self._run("token", "create", "--name", "demo", "--scope", "admin").strip()
        self._token_file.touch(0o600)
        self._token_file.write_text(self.token, "utf-8")

    def owner_link(self) -> str:
        """The address at which a person becomes the portal's owner."""
        return self._run("user", "owner-link").strip()

    def upload(self, bundle: Path) -> None:
        """Publish *bundle*."""
        self._run("upload", bundle, "--token-file", self._token_file)

    def enrolment_line(self) -> str:
        """The one line an admin pastes on a host."""
        return self._run("enrol-token", "create")

    def engine(self) -> dict[str, Json]:
        """The one engine of the portal, with its attempts."""
        listed = self._get("/api/v1/engines")["engines"]
        if not isinstance(listed, list) or len(listed) != 1 or not isinstance(listed[0], dict):
            raise DemoFailed(f"the portal lists {listed!r:.200}, expected one engine")
        return self._get(f"/api/v1/engines/{listed[0]['engine']}")

    def _run(self, *words: str | Path) -> str:
        return self._stage.run("engineshed-server", *words, "--config", self._config)

    def _get(self, path: str) -> dict[str, Json]:
        url, token = self.address + path, self.token or None
        with self._http.stream("GET", url, token=token, max_bytes=MAX_ANSWER_BYTES) as answer:
            return read_object(b"".join(answer.chunks), what=path, max_bytes=MAX_ANSWER_BYTES)


class EngineHost:
    """A host with the sample engine and its updater."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.base = stage.folder / "host"
        (self.base / "update").mkdir(parents=True)
        self.address = f"http://127.0.0.1:{stage.reserve_port()}"
        self._http = HttpClient(user_agent="engineshed-demo", deadline_s=5)

    def enrol(self, line: str, root: Path) -> None:
        """Join the portal; the vendor's root came with the updater."""
        port = self.address.rpartition(":")[2]
        settings = [
            f'product = "{PRODUCT}"',
            "poll_s = 1",
            "[engine]",
            f'env = {{ SAMPLE_ENGINE_PORT = "{port}" }}',
            f'probe_url = "{self.address}/health"',
            "good_ticks = 2",
        ]
        (self.base / "update" / "updater.toml").write_text("\n".join(settings) + "\n", "utf-8")
        self._run("enrol", "--trusted-root", root, stdin=line)

    def install(self, bundle: Path) -> None:
        """Install the first version from a file, start and probe it."""
        self._run("install", bundle)

    def start_updater(self) -> None:
        """Let the updater run: from here on it polls every second and does what it is told."""
        self._stage.start("engineshed-client", "--base", self.base, "run", log="updater.log")

    def version(self) -> str:
        """What the running engine says of itself."""
        url = f"{self.address}/version"
        try:
            with self._http.stream("GET", url, max_bytes=MAX_ANSWER_BYTES) as answer:
                data = b"".join(answer.chunks)
        except PackagesError as err:
            raise DemoFailed(f"the engine does not answer: {err.message}") from err
        return str(read_object(data, what=url, max_bytes=MAX_ANSWER_BYTES)["version"])

    def update_log(self) -> list[str]:
        """The lines of update.log."""
        path = self.base / "update" / "work" / "logs" / "update.log"
        return path.read_text("utf-8").splitlines() if path.exists() else []

    def previous(self) -> list[str]:
        """The previous engines that are kept."""
        return sorted(path.name for path in self.base.glob("engine_*"))

    def _run(self, *words: str | Path, stdin: str = "") -> str:
        return self._stage.run("engineshed-client", "--base", self.base, *words, stdin=stdin)
