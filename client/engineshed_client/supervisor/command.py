"""The ``command`` supervisor: the updater starts the engine itself and lets it outlive the updater.

The engine is the process of its start command, which stays in the foreground, in a session of its own.
Its identity (pid, start time, boot) is on disk before the first instruction of the engine runs: the
process is made as a small shell that waits for a word, the identity is saved, the word is given, and the
shell becomes the engine. An updater killed in between leaves no engine that nobody knows.

Stopping ends everything that runs the engine's code, however it was started, and waits until nothing
holds on to the engine's folder (``ties``). On Linux this is complete; on Windows there is no such shell,
and the module is checked by types only.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping

from engineshed_client.errors import DiskTrouble, EngineTrouble, StartFailed, client_boundary
from engineshed_client.fsops import FsOps
from engineshed_client.paths import Paths
from engineshed_client.settings import EngineSettings
from engineshed_client.supervisor.folder import EngineFolder, check_none_left, listed
from engineshed_client.supervisor.output import open_output
from engineshed_client.supervisor.ties import MARKER, Tied
from engineshed_packages.errors import FileRefused, ProtocolRefused
from engineshed_packages.files import read_limited
from engineshed_packages.jsontext import Fields, read_object, write_compact
from engineshed_packages.manifest import Placeholders

if sys.platform == "win32":
    from engineshed_client.supervisor import windows_processes as processes
else:
    from engineshed_client.supervisor import linux_processes as processes

logger = logging.getLogger(__name__)

_MAX_SERVICE_BYTES = 4096
_PREFIX = "ENGINESHED_"
# Engines that this very process started: it is their parent and must take leave of them when they end,
# whichever supervisor started them.
_children: list[subprocess.Popen[bytes]] = []
_ended: dict[int, int] = {}  # exit code by pid, of the one that was taken leave of last
# The word comes by standard input; its end without the word means that the updater is gone.
_WAITING_SHELL = 'IFS= read -r word && [ "$word" = go ] && exec "$@" </dev/null'


class CommandSupervisor:
    """Starts and stops the engine of one base by commands; implements ``Supervisor``."""

    def __init__(self, paths: Paths, settings: EngineSettings, fs: FsOps) -> None:
        self._paths = paths
        self._settings = settings
        self._fs = fs
        self._folder = EngineFolder(paths)

    def check(self) -> None:
        """Pass: the engine's start command is its manifest's, which was verified."""

    def is_held_back(self) -> bool:
        """False: nobody else starts the engine."""
        return False

    def is_running(self) -> bool:
        """True while the very process that was started last is alive."""
        return self.identity() is not None

    def identity(self) -> str | None:
        """``pid:start time:boot`` of the running engine, or None."""
        _reap()
        recorded = self._recorded()
        if recorded is None or processes.identify(int(recorded.partition(":")[0])) != recorded:
            return None
        return recorded

    def exit_code(self) -> int | None:
        """Exit code of the process that was started last, minus the signal's number when one ended it.

        None while it lives, and when another updater process was its parent.
        """
        _reap()
        recorded = self._recorded()
        return None if recorded is None else _ended.get(int(recorded.partition(":")[0]))

    def said(self) -> tuple[str, ...]:
        """Nothing: what the engine writes is in ``engine_output``."""
        return ()

    def leftovers(self) -> tuple[str, ...]:
        """Each process that is tied to the engine's folder, in words."""
        return tuple(str(tied) for tied in self._tied())

    def start(self) -> None:
        """Start the engine unless it runs.

        Raises:
            StartFailed: codes ``engine-left`` (something of an earlier start still runs),
                ``start-command``, ``start-failed``, or that of an unusable manifest.
            DiskTrouble: the identity or the output file could not be written; nothing runs.
        """
        if self.is_running():
            return
        check_none_left(self._tied())
        spec = self._settings.start_for(self._folder.manifest().start)
        command = self._placeholders().fill_all(spec.command)
        program = shutil.which(command[0])
        if program is None:
            raise StartFailed(
                "start-command", f"the start command {command[0]!r} is no program that can be run here"
            )
        self._spawn((program, *command[1:]), self._environment(spec.env))

    def start_after_boot(self) -> None:
        """Start the engine again when it ran as the host went down; nobody else does that.

        An engine that was stopped, or that ended while the host was up, stays as it is. So does one that
        somebody else has started meanwhile.

        Raises:
            StartFailed, DiskTrouble: as ``start``.
        """
        recorded = self._recorded()
        if recorded is not None and processes.is_of_another_boot(recorded) and not self._tied():
            logger.info("host was started anew, starting the engine")
            self.start()

    def take_over(self) -> str | None:
        """Record the engine that runs as the one to look after.

        Raises:
            EngineTrouble: code ``engine-foreign``.
            DiskTrouble: it could not be recorded.
        """
        if self.is_running():
            return None
        # A shell that stands in the engine's folder is none of its processes.
        found = [tied for tied in self._tied() if tied.tie != "cwd"]
        roots = processes.find_roots(found)
        if not roots:
            return None
        if len(roots) > 1:
            raise EngineTrouble(
                "engine-foreign",
                f"the engine runs, but which of {listed(roots)} is it? Stop it: the updater is to start it",
            )
        (engine,) = roots
        unit = processes.find_unit(engine)
        if unit is not None:
            raise EngineTrouble(
                "engine-foreign",
                f"the engine runs as {unit}, which would start it again in the middle of an update: "
                f'set supervisor = "systemd" and service = "{unit}" in [engine], or disable the unit and let '
                "the updater start the engine",
            )
        with client_boundary():
            self._fs.make_folder(self._paths.service.parent, mode=0o700)
            self._fs.write_file(self._paths.service, write_compact({"identity": engine.identity}), mode=0o600)
        return str(engine)

    def stop(self, timeout_s: float) -> None:
        """Ask the engine to stop, wait, end what is left at the deadline.

        Raises:
            StopFailed: code ``engine-left``: a process is left that could not or must not be ended.
            DiskTrouble: the identity could not be removed.
        """
        began = time.monotonic()
        # A stop command that worked is given half of the time before signals follow.
        quiet_s = timeout_s / 2 if self.is_running() and self._run_stop_command(timeout_s) else 0.0
        self._folder.clear(
            self._tied, began=began, timeout_s=timeout_s, quiet_s=quiet_s, is_running=self.is_running
        )
        with client_boundary():
            self._fs.remove_file(self._paths.service)

    def _run_stop_command(self, timeout_s: float) -> bool:
        """Run the stop command, if there is one; True when it ended well."""
        try:
            spec = self._settings.stop_for(self._folder.manifest().stop)
            if spec.command is None:
                return False
            with open_output(self._paths, self._fs) as output:
                done = subprocess.run(
                    self._placeholders().fill_all(spec.command),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=self._paths.engine,
                    env=self._environment({}),
                    timeout=timeout_s,
                    check=False,
                )
        except (OSError, subprocess.TimeoutExpired, StartFailed) as err:
            logger.warning("stop command failed", extra={"reason": str(err)})
            return False
        if done.returncode != 0:
            logger.warning("stop command failed", extra={"reason": f"exit status {done.returncode}"})
        return done.returncode == 0

    # starting

    def _spawn(self, command: tuple[str, ...], environment: Mapping[str, str]) -> None:
        with client_boundary(), open_output(self._paths, self._fs) as output:
            if sys.platform == "win32":
                child = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=self._paths.engine,
                    env=environment,
                    creationflags=subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS,
                )
                self._record(child)
            else:
                child = subprocess.Popen(
                    ("/bin/sh", "-c", _WAITING_SHELL, "engine", *command),
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=output,
                    cwd=self._paths.engine,
                    env=environment,
                    start_new_session=True,
                )
                self._release(child)
        _children.append(child)

    def _release(self, child: subprocess.Popen[bytes]) -> None:
        """Record the waiting shell, then let it become the engine; in any trouble it ends."""
        assert child.stdin is not None  # made with a pipe
        try:
            with child.stdin as pipe:
                self._record(child)
                pipe.write(b"go\n")
        except BaseException:
            child.wait()
            raise

    def _record(self, child: subprocess.Popen[bytes]) -> None:
        identity = processes.identify(child.pid)
        if identity is None:
            raise StartFailed("start-failed", f"process {child.pid} was gone before the engine began")
        self._fs.write_file(self._paths.service, write_compact({"identity": identity}), mode=0o600)

    def _environment(self, of_engine: Mapping[str, str]) -> dict[str, str]:
        """The updater's environment without what is meant for the updater, the engine's own, the marker."""
        fill = self._placeholders().fill
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIX)}
        own = {name: fill(value) for name, value in of_engine.items()}
        return {**inherited, **own, MARKER: os.path.realpath(self._paths.engine)}

    def _placeholders(self) -> Placeholders:
        return Placeholders(engine=str(self._paths.engine), base=str(self._paths.base), python=sys.executable)

    # what is known

    def _recorded(self) -> str | None:
        """The identity on disk; None when there is none that can be read."""
        try:
            data = read_limited(self._paths.service, _MAX_SERVICE_BYTES)
            values = read_object(data, what="service", max_bytes=_MAX_SERVICE_BYTES)
            identity = Fields(values, "service").text("identity")
        except FileRefused as err:
            if err.code == "file-missing":
                return None
            raise DiskTrouble("disk-error", err.message) from err
        except ProtocolRefused as err:
            # Written atomically by us: only a hand or a broken disk makes it unreadable. What runs is
            # still found by its other ties.
            logger.error("engine's identity unreadable", extra={"reason": err.message})
            return None
        return identity if identity.partition(":")[0].isdecimal() else None

    def _tied(self) -> tuple[Tied, ...]:
        _reap()
        return self._folder.tied(leader=self._recorded())


def _reap() -> None:
    for child in _children:
        code = child.poll()
        if code is not None:
            _ended.clear()
            _ended[child.pid] = code
    _children[:] = [child for child in _children if child.poll() is None]
