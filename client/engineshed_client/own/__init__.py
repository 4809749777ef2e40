"""The updater's own versions on this host: which is started, and which change of them is under way.

folder = UpdaterFolder(paths, fs)
folder.point(current="1.1.0", previous="1.0.0")     # the launcher starts 1.1.0 from now on
OwnFile(paths, fs).load()                           # None: no change of versions is under way
"""

from __future__ import annotations

from engineshed_client.own.folder import PROGRAM, LaunchedAs, UpdaterFolder, find_launched
from engineshed_client.own.record import Change, OwnFile, OwnState

__all__ = [
    "PROGRAM",
    "Change",
    "LaunchedAs",
    "OwnFile",
    "OwnState",
    "UpdaterFolder",
    "find_launched",
]
