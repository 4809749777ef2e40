"""Support, an admin and an engine's host, each played with the command that is theirs.

All of them live in the folder of one `Stage`, which ends their processes and removes what they wrote.
"""

import re
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from engineshed_packages.jsontext import Fields, Json, read_object
from engineshed_server.cli.demo.stage import DemoFailed, Stage
from tests.e2e import allure_releases
from tests.e2e.allure_releases import AllureRelease

OVERLAY = Path(__file__).with_name("allure")
PRODUCT = "allure"
ANSWER_WITHIN_S = 30.0
LOOK_EVERY_S = 0.2
MAX_JSON_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt as the portal shows it."""

    attempt: str
    outcome: str
    to_version: str


class Vendor:
    """Support's side: throw-away keys, and one bundle per release."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._passphrase = stage.folder / "passphrase.txt"
        self._passphrase.write_text("a throw-away passphrase\n", encoding="utf-8")
        self.root = stage.folder / "root.json"
        keys = ("--root-keys", "1", "--threshold", "1", "--root-out", self.root)
        self._run("keys", "init", "--product", PRODUCT, *keys, *self._signing())

    def publish(self, release: AllureRelease) -> Path:
        """Builds, signs and bundles `release`; returns the bundle."""
        source = self._stage.folder / f"dist-{release.version}"
        allure_releases.unpack(allure_releases.fetch(release, allure_releases.cache_folder()), source)
        packages = self._stage.folder / "packages"
        self._run("build", source, OVERLAY, "--version", release.version, "--output", packages)
        self._run("release", packages / f"{PRODUCT}-{release.version}-any.zip", *self._signing())
        bundle = self._stage.folder / f"{PRODUCT}-{release.version}-bundle.zip"
        self._run("bundle", PRODUCT, release.version, "--output", bundle)
        return bundle

    def _signing(self) -> tuple[str | Path, ...]:
        return ("--passphrase-file", self._passphrase)

    def _run(self, *words: str | Path) -> None:
        self._stage.run("engineshed-packages", *words)


class Portal:
    """The admin's side: one portal on a free port."""

    def __init__(self, stage: Stage, root: Path) -> None:
        self._stage = stage
        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._config = stage.folder / "portal.toml"
        self._config.write_text(
            f'[portal]\npublic_url = "{self.url}"\ndata_dir = "{stage.folder / "portal"}"\n'
            "[web]\nworkers = 1\n[engines]\npoll_s = 1\n[jobs]\nworkers = 0\n",
            encoding="utf-8",
        )
        self._run("init", "--root", root)
        fd = listener.fileno()
        command = ("engineshed-server", "run", "--config", self._config, "--fd", str(fd))
        stage.start(*command, log="portal.log", descriptors=[fd])
        listener.close()
        self.token_file = stage.folder / "api-token"
        self.token_file.touch(mode=0o600)
        self.token_file.write_text(self._run("token", "create", "--scope", "admin"), encoding="ascii")
        wait_for(
            "the portal answers", lambda: page(f"{self.url}/readyz") is not None, within_s=ANSWER_WITHIN_S
        )

    def upload(self, bundle: Path) -> None:
        self._run("upload", bundle, "--token-file", self.token_file, "--no-progress")

    def enrolment_line(self) -> str:
        return self._run("enrol-token", "create")

    def attempts(self) -> tuple[str | None, list[Attempt]]:
        """Version of the only engine, and its attempts, the newest first, as the portal shows them."""
        (line,) = self._ask("engine", "list").objects("engines", max_items=1)
        engine = self._ask("engine", "show", str(line["engine"]))
        found = [_attempt(values) for values in engine.objects("attempts", max_items=100)]
        return engine.text_or_none("version"), found

    def _ask(self, *words: str) -> Fields:
        answer = self._run(*words, "--json").encode("utf-8")
        return Fields(read_object(answer, what="answer", max_bytes=MAX_JSON_BYTES), "answer")

    def _run(self, *words: str | Path) -> str:
        return self._stage.run("engineshed-server", *words, "--config", self._config)


class EngineHost:
    """The engine's side: a base with its updater, and what the engine serves."""

    def __init__(self, stage: Stage, portal: Portal, root: Path) -> None:
        self._stage = stage
        self._base = stage.folder / "base"
        self.engine = self._base / "engine"
        self.url = f"http://127.0.0.1:{stage.reserve_port()}/"
        port = self.url.rstrip("/").rpartition(":")[2]
        (self._base / "update").mkdir(parents=True)
        (self._base / "update" / "updater.toml").write_text(
            f'product = "{PRODUCT}"\nplatform = "linux-x86_64"\n'
            "[engine]\n"
            'start = ["{engine}/bin/allure", "serve", "-h", "127.0.0.1", "-p", "'
            f'{port}", "{{engine}}/data/results"]\n'
            f'probe_url = "{self.url}"\n',
            encoding="utf-8",
        )
        self.run("enrol", "--trusted-root", str(root), stdin=portal.enrolment_line())

    def run(self, *words: str, stdin: str = "") -> str:
        return self._stage.run("engineshed-client", "--base", self._base, *words, stdin=stdin)

    def start_updater(self) -> Callable[[], None]:
        """Starts the updater; returns what stops it again."""
        updater = self._stage.start("engineshed-client", "--base", self._base, "run", log="updater.log")

        def stop() -> None:
            updater.send_signal(signal.SIGTERM)
            updater.wait(ANSWER_WITHIN_S)

        return stop

    def served_version(self) -> str | None:
        found = re.search(r"'allureVersion': '([0-9.]+)'", page(self.url) or "")
        return None if found is None else found[1]

    def previous(self) -> list[Path]:
        """Previous versions, by name."""
        return sorted(self._base.glob("engine_*"))

    def log_lines(self) -> list[str]:
        path = self._base / "update" / "work" / "logs" / "update.log"
        return path.read_text("utf-8").splitlines()


def _attempt(values: Mapping[str, Json]) -> Attempt:
    fields = Fields(values, "attempt")
    return Attempt(
        attempt=fields.text("attempt"), outcome=fields.text("outcome"), to_version=fields.text("to")
    )


def page(url: str) -> str | None:
    """The page at `url`, or None when nobody answers, or not with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read(MAX_JSON_BYTES).decode("utf-8", "replace"))
    except (urllib.error.URLError, OSError):
        return None


def wait_for(what: str, is_so: Callable[[], bool], *, within_s: float) -> None:
    """Raises DemoFailed when it is not so in time."""
    deadline = time.monotonic() + within_s
    while not is_so():
        if time.monotonic() > deadline:
            raise DemoFailed(f"waited {within_s:.0f} s in vain: {what}")
        time.sleep(LOOK_EVERY_S)
