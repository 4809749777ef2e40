"""What a failed engine wrote to its logs, for the report: the last lines, made harmless and short."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from engineshed_client.install.files import Found, Shape, walk
from engineshed_packages.jsontext import escape_controls
from engineshed_packages.manifest import Manifest, matches
from engineshed_packages.protocol import MAX_LOG_LINE_CHARS, MAX_LOG_LINES

_TAIL_BYTES = 256 * 1024


def last_lines(
    folder: Path, manifest: Manifest | None, *, others: Iterable[Path] = (), said: Sequence[str] = ()
) -> tuple[str, ...]:
    """The last 200 lines of the engine's logs, the file written last at the end.

    Args:
        folder: the engine. manifest: names its logs by patterns; None when it is unknown.
        others: further files, as what the engine wrote to its standard output. said: lines of it that the
            service manager kept.

    Trouble with a file is a line of its own: diagnosis never ends an attempt.
    """
    try:
        logs = [] if manifest is None else [one for one in walk(folder) if _is_log(one, manifest)]
        paths = [one.path for one in sorted(logs, key=lambda one: one.status.st_mtime_ns)]
    except OSError as err:
        return (f"the logs in {folder.name} cannot be read: {err.strerror or err}",)
    lines = ["== kept by the service manager", *said] if said else []
    for path in (*others, *paths):
        lines += _tail(path)
    return tuple(escape_controls(line)[:MAX_LOG_LINE_CHARS] for line in lines[-MAX_LOG_LINES:])


def last_line(path: Path, said: Sequence[str] = ()) -> str | None:
    """The last line in *path*, or of *said*, that says anything, made harmless; None when there is none."""
    found = [line for line in (*_tail(path)[1:], *said) if line.strip()]
    return escape_controls(found[-1])[:MAX_LOG_LINE_CHARS] if found else None


def _is_log(found: Found, manifest: Manifest) -> bool:
    return found.shape is Shape.FILE and matches(found.relative, manifest.logs)


def _tail(path: Path) -> list[str]:
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    except OSError as err:
        return [f"{path.name} cannot be read: {err.strerror or err}"]
    lines = text.splitlines()
    # The first line is cut somewhere when the file is longer than its tail.
    return [f"== {path.name}", *lines[1 if size > _TAIL_BYTES else 0 :][-MAX_LOG_LINES:]]
