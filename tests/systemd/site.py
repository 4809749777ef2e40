"""A portal and an updater on one container, installed by the commands of the README as they stand there.

Only what a README cannot know differs: the sources lie in ``/src``, the portal's address is one of the
container's loopback, and wheels come from a folder.
"""

from __future__ import annotations

import http.client
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

from engineshed_packages.target import Target
from tests.server.serve.processes import wait_until
from tests.systemd.container import Container
from tests.systemd.layers import ROOT, WHEELS, Layers
from tests.vendor import Vendor

PRODUCT = "sample-engine"
BIG = "big-engine"  # no engine has it: to be downloaded slowly
PORT = 8080
ENGINE_PORT = 8750
SOURCES = "/src"
ENGINE_UNIT = "cockpit.service"
IN_AN_UPDATE = "in-an-update"
_SAMPLE = ROOT / "packages/engineshed_packages/sample"
_PROGRAMS = "/opt/engineshed/bin"
_PATIENCE_S = 40.0
# What starts an engine that has a unit of its own; here it writes down what it finds at that moment.
_ENGINE_UNIT = f"""\
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'cat /opt/engine/engine/VERSION >> /src/engine-starts; \
    if test -e /opt/engine/update/work/journal.json; then echo {IN_AN_UPDATE} >> /src/engine-starts; fi'
[Install]
WantedBy=multi-user.target
"""
_ENGINE = {"good_ticks": 3, "interval_s": 1, "probe_timeout_s": 1, "max_ticks": 8}


def _blocks(heading: str) -> list[str]:
    """The lines of the first console block below a heading of the README."""
    section = (ROOT / "README.md").read_text("utf-8").partition(f"## {heading}\n")[2]
    found = re.search(r"^```console\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    assert found is not None, f"README has no commands below {heading!r}"
    return found[1].splitlines()


class Site:
    """The container, the vendor outside of it, and what both an admin and a tester would ask."""

    def __init__(self, layers: Layers, folder: Path) -> None:
        folder.chmod(0o755)
        self.folder = folder
        self.sources = folder / "src"
        self.base = folder / "engine"
        machine = folder / "machine"
        for path in (self.sources, self.base, folder / "portal", machine):
            path.mkdir()
        self.vendor = Vendor(folder, products=(PRODUCT, BIG))
        # The engine and the portal's data lie on this host's own file system, not on the overlay.
        binds = {self.sources: SOURCES, self.base: "/opt/engine", folder / "portal": "/var/lib/engineshed"}
        self.container = Container(layers, machine, binds=binds)
        self.token = ""
        self.boot_s: list[float] = []

    def __enter__(self) -> Self:
        self._lay_out_sources()
        self.container.__enter__()
        try:
            self.boot()
            self._install_portal()
            self.publish("1.0.0")
            self._install_updater()
        except BaseException:
            self.container.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.container.__exit__()

    def boot(self) -> None:
        """Switch the container on."""
        self.boot_s.append(self.container.boot())

    # installing

    def _lay_out_sources(self) -> None:
        for name in ("packages", "server", "client", "deploy"):
            unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / name, self.sources / name, ignore=unwanted)
        for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy2(ROOT / name, self.sources)
        example = self.sources / "deploy/portal.toml.example"
        text = example.read_text("utf-8").replace("https://portal.example.org", f"http://127.0.0.1:{PORT}")
        example.write_text(re.sub(r"^poll_s = \d+$", "poll_s = 1", text, flags=re.MULTILINE), "utf-8")
        (self.sources / "root.json").write_bytes(self.vendor.root)

    def _install_portal(self) -> None:
        self._follow(_blocks("Installing a portal (Linux)"))
        self.wait_for_portal()
        made = self.as_user("engineshed", "engineshed-server", "token", "create", "--scope", "admin")
        self.token = made.strip()

    def _install_updater(self) -> None:
        unit = Path("/etc/systemd/system") / ENGINE_UNIT
        self.container.run("sh", "-c", f"cat > {unit}", stdin=_ENGINE_UNIT)
        self.container.run("systemctl", "enable", ENGINE_UNIT)
        line = self.as_user("engineshed", "engineshed-server", "enrol-token", "create")
        commands: list[str] = []
        done = _blocks("Installing a portal (Linux)")
        for command in _blocks("Installing an updater"):
            if command in done or "client.txt" in command:
                continue  # the portal's environment holds it all
            if " enrol " in command:
                commands += [f"{command.replace('NAME', PRODUCT)} <<'END'\n{line}END"]
            elif " service install " in command:
                settings = "".join(f"{name} = {json.dumps(value)}\n" for name, value in _ENGINE.items())
                commands += [f"cat >> /opt/engine/update/updater.toml <<'END'\n[engine]\n{settings}END"]
                commands += [f"{command} --engine-unit {ENGINE_UNIT}"]
            else:
                commands += [command]
        self._follow(commands)
        wait_until(lambda: self.engine_version() == "1.0.0", "the engine runs", patience_s=_PATIENCE_S)

    def _follow(self, commands: list[str]) -> None:
        offline = f"export PIP_NO_INDEX=1 PIP_FIND_LINKS={WHEELS}"
        self.container.run("sh", "-eu", stdin="\n".join([offline, *commands]) + "\n", cwd=SOURCES)

    # the vendor

    def release(
        self,
        version: str,
        *,
        product: str = PRODUCT,
        files: Mapping[str, bytes] | None = None,
        vendor: Vendor | None = None,
    ) -> Target:
        """Build, sign and release the sample engine as *version*."""
        vendor = vendor or self.vendor
        content = {
            path.relative_to(_SAMPLE / "common").as_posix(): path.read_bytes()
            for path in (_SAMPLE / "common").rglob("*")
            if path.is_file()
        }
        description = content.pop("package.toml").decode("utf-8").replace(PRODUCT, product)
        content |= {
            "VERSION": f"{version}\n".encode("ascii"),
            "share/greeting.txt": b"Hello\n",
            **(files or {}),
        }
        package = vendor.package(version, product=product, files=content, description=description)
        return vendor.release(version, product=product, packages=[package])

    def publish(
        self, version: str, *, product: str = PRODUCT, files: Mapping[str, bytes] | None = None
    ) -> str:
        """Release a version and put it on the portal; where its package is to be downloaded."""
        target = self.release(version, product=product, files=files)
        self.upload(self.vendor.bundle(version, product=product), PORT, token=self.token)
        return f"/repo/v1/vendor/targets/{target.download_name}"

    def upload(self, bundle: Path, port: int, *, token: str) -> None:
        """Put a bundle on the portal that listens there."""
        with closing(self.http(port)) as connection:
            path = f"/api/v1/bundles/{bundle.name}"
            connection.request("PUT", path, bundle.read_bytes(), {"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            assert answer.status == 201, answer.read()

    # asking

    @property
    def authorization(self) -> dict[str, str]:
        """The header of an admin."""
        return {"Authorization": f"Bearer {self.token}"}

    def service(self, *words: str) -> str:
        """Run ``engineshed-server service`` as root; what it told."""
        done = self.container.try_run(f"{_PROGRAMS}/engineshed-server", "service", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def as_user(self, user: str, program: str, *words: str) -> str:
        """Run one of our commands as a user of the container; what it printed."""
        return self.container.run("runuser", "-u", user, "--", f"{_PROGRAMS}/{program}", *words)

    def client(self, *words: str) -> str:
        """Run a command of the updater as the engine's user; what it printed."""
        return self.as_user("engine", "engineshed-client", "--base", "/opt/engine", *words)

    def http(self, port: int = PORT, *, receive_bytes: int | None = None) -> http.client.HTTPConnection:
        """A connection to a port of the container."""
        made = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        made.sock = self.container.connect(port, receive_bytes=receive_bytes)
        return made

    def get(self, path: str, port: int = PORT) -> tuple[int, bytes] | None:
        """Status and body; None when nobody answers."""
        try:
            with closing(self.http(port)) as connection:
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return None

    def wait_for_portal(self, port: int = PORT) -> None:
        """Return as soon as the portal is ready."""
        wait_until(lambda: (self.get("/readyz", port) or (0, b""))[0] == 200, "the portal is ready")

    def engine_version(self) -> str | None:
        """What the running engine says of itself; None when it does not answer."""
        answer = self.get("/version", ENGINE_PORT)
        return None if answer is None or answer[0] != 200 else str(json.loads(answer[1])["version"])

    def journal(self) -> Mapping[str, Any]:
        """The updater's journal, empty between attempts: JSON of any shape."""
        try:
            found: dict[str, Any] = json.loads((self.base / "update/work/journal.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return found

    def log_lines(self, event: str) -> list[str]:
        """The lines of update.log about *event*."""
        lines = (self.base / "update/work/logs/update.log").read_text("utf-8").splitlines()
        return [line for line in lines if line.split(" ")[1] == event]

    def users_processes(self, user: str) -> list[str]:
        """What runs as *user*, command by command."""
        return self.container.try_run("pgrep", "-a", "-u", user).stdout.splitlines()

    @contextmanager
    def drop_in(self, unit: str, text: str) -> Iterator[None]:
        """A drop-in for *unit*, as an admin makes it, until the end of the block."""
        folder = f"/etc/systemd/system/{unit}.d"
        self.container.run("mkdir", "-p", folder)
        self.container.run("sh", "-c", f"cat > {folder}/test.conf", stdin=text)
        self.container.run("systemctl", "daemon-reload")
        try:
            yield
        finally:
            self.container.run("rm", "-r", folder)
            self.container.run("systemctl", "daemon-reload")
