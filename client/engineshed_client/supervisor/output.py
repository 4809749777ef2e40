"""What the engine writes to its standard output and error: one file, capped while the engine runs.

The engine holds the file open for appending, so it can be emptied under it: what it writes next begins
at the start again. The end of what was there is kept beside it as ``engine.log.1``.
"""

from __future__ import annotations

import os
from pathlib import Path

from engineshed_client.errors import client_boundary
from engineshed_client.fsops import EffectFile, FsOps, find_stat
from engineshed_client.paths import Paths

MAX_OUTPUT_BYTES = 5 * 1024 * 1024
_KEPT_BYTES = 1024 * 1024


def engine_output(paths: Paths) -> Path:
    """Where the engine's standard output and error go."""
    return paths.update_log.with_name("engine.log")


def open_output(paths: Paths, fs: FsOps) -> EffectFile:
    """The file, open for appending, for the engine's process.

    Raises:
        OSError: it cannot be opened.
    """
    fs.make_folder(engine_output(paths).parent, mode=0o700)
    return fs.open_append(engine_output(paths), mode=0o640)


def cap_output(paths: Paths, fs: FsOps) -> None:
    """Empty the file when it has grown too long, keeping its end beside it.

    Raises:
        DiskTrouble: the file cannot be read, or its end not be kept.
    """
    path = engine_output(paths)
    with client_boundary():
        found = find_stat(path)
        if found is None or found.st_size <= MAX_OUTPUT_BYTES:
            return
        with fs.open_update(path) as file:
            file.seek(-_KEPT_BYTES, os.SEEK_END)
            fs.write_file(path.with_name(f"{path.name}.1"), file.read(_KEPT_BYTES), mode=0o640)
            file.truncate(0)
