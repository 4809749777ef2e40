"""Is the engine well, and which version is it? One look at a time: the core counts the looks.

    spec = probe_spec(manifest.probe, settings, paths)
    tick = probe_once(spec, expected_version=Version.parse("3.4.0"))

A look never raises because of the engine and never outlives its timeout, however slowly the engine
dribbles; what it answers is read up to a limit and believed only as far as a version in it goes.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, replace

from engineshed_client.paths import Paths
from engineshed_client.settings import Settings
from engineshed_packages.errors import PackagesError, VersionUnreadable
from engineshed_packages.jsontext import Json, escape_controls
from engineshed_packages.manifest import Placeholders, ProbeSpec
from engineshed_packages.transport import HttpClient
from engineshed_packages.versions import Version

MAX_ANSWER_BYTES = 1024 * 1024  # the beginning is looked at, the rest left unread
_ENDLESS_BYTES = 2**62
_PIECE_BYTES = 65536
_LOOK_AGAIN_S = 0.02
_SHOWN_CHARS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """What one look saw.

    Attributes:
        good: the engine answered well and is the version it should be.
        version: what the engine itself says it is; None when it said nothing readable.
        reason: why not good, for update.log; ``good`` otherwise.
    """

    good: bool
    version: str | None
    reason: str


def probe_spec(spec: ProbeSpec, settings: Settings, paths: Paths) -> ProbeSpec:
    """How the engine of this base is probed: its manifest's word, the settings', placeholders filled.

    Raises:
        SettingsRefused: the settings do not fit what the manifest says.
    """
    places = Placeholders(engine=str(paths.engine), base=str(paths.base), python=sys.executable)
    spec = settings.engine.probe_for(spec)
    return replace(
        spec,
        url=None if spec.url is None else places.fill(spec.url),
        command=None if spec.command is None else places.fill_all(spec.command),
    )


def probe_once(spec: ProbeSpec, *, expected_version: Version) -> Tick:
    """Look once at the engine, for at most ``spec.timeout_s``."""
    try:
        answer = _ask(spec)
    except _Unwell as err:
        return Tick(good=False, version=None, reason=escape_controls(str(err)))
    if spec.version_regex is None and spec.version_pointer is None:
        return Tick(good=True, version=None, reason="good")
    found = _find_version(spec, answer)
    if found is None:
        return Tick(good=False, version=None, reason="the answer holds no version where one is expected")
    try:
        same = Version.parse(found) == expected_version
    except VersionUnreadable:
        same = False
    if not same:
        reason = f"the engine says it is version {found}, expected {expected_version.text}"
        return Tick(good=False, version=found, reason=reason)
    return Tick(good=True, version=found, reason="good")


class _Unwell(Exception):
    """The engine did not answer as a well one does; never leaves this module."""


def _ask(spec: ProbeSpec) -> bytes:
    if spec.url is not None:
        return _ask_url(spec.url, spec.timeout_s)
    if spec.tcp is not None:
        return _ask_tcp(spec.tcp, spec.timeout_s)
    return _ask_command(spec.command or (), spec.timeout_s)


def _ask_url(url: str, timeout_s: float) -> bytes:
    body = b""
    try:
        with (
            HttpClient(connect_timeout_s=timeout_s, read_timeout_s=timeout_s, deadline_s=timeout_s) as client,
            client.stream("GET", url, max_bytes=_ENDLESS_BYTES) as answer,
        ):
            for piece in answer.chunks:
                body += piece
                if len(body) >= MAX_ANSWER_BYTES:
                    break
    except PackagesError as err:
        raise _Unwell(err.message) from err
    return body[:MAX_ANSWER_BYTES]


def _ask_tcp(address: str, timeout_s: float) -> bytes:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=timeout_s).close()
    except OSError as err:
        raise _Unwell(f"{address} takes no connection: {err}") from err
    return b""


def _ask_command(command: tuple[str, ...], timeout_s: float) -> bytes:
    """What the program writes to its standard output; it and its children are ended at the deadline."""
    deadline = time.monotonic() + timeout_s
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as err:
        raise _Unwell(f"the probe command {command[0]!r} cannot be run: {err.strerror or err}") from err
    with child:
        try:
            output = _read_output(child, deadline)
            status = child.wait(max(0.0, deadline - time.monotonic()))
        except (TimeoutError, subprocess.TimeoutExpired) as err:
            raise _Unwell(f"the probe command did not end within {timeout_s:g} s") from err
        finally:
            _end(child)
    if status != 0:
        raise _Unwell(f"the probe command ended with exit status {status}")
    return output


def _read_output(child: subprocess.Popen[bytes], deadline: float) -> bytes:
    """The beginning of the output; what comes after it is read and dropped, so that nobody blocks."""
    assert child.stdout is not None  # made with a pipe
    if sys.platform == "win32":  # pipes cannot be polled there; the timeout still ends the program
        return child.communicate(timeout=max(0.0, deadline - time.monotonic()))[0][:MAX_ANSWER_BYTES]
    os.set_blocking(child.stdout.fileno(), False)
    output = b""
    while True:
        try:
            piece = os.read(child.stdout.fileno(), _PIECE_BYTES)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise TimeoutError from None
            time.sleep(_LOOK_AGAIN_S)
            continue
        if not piece:
            return output
        if time.monotonic() >= deadline:
            raise TimeoutError
        output = (output + piece)[:MAX_ANSWER_BYTES]


def _end(child: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        child.kill()
        return
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # all of it has ended already


def _find_version(spec: ProbeSpec, answer: bytes) -> str | None:
    if spec.version_pointer is not None:
        return _at_pointer(answer, spec.version_pointer)
    found = re.search(spec.version_regex or "()", answer.decode("utf-8", "replace"))
    return None if found is None or found[1] is None else escape_controls(found[1])[:_SHOWN_CHARS]


def _at_pointer(answer: bytes, pointer: str) -> str | None:
    """The text or number at the JSON *pointer* (RFC 6901, section 4), or None."""
    try:
        value: Json = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return escape_controls(value)[:_SHOWN_CHARS] if isinstance(value, str) else None
