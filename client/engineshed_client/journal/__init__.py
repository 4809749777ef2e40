"""The journal: the one truth about the attempt under way. See ``docs/states.md``.

It is saved before each action, so that whoever finds it knows what may have been begun. It is absent
between attempts. State names on disk are constants of their own and are never renamed; a name that
this updater does not know reads as ``State.UNKNOWN``, and unknown fields are kept and written back, so
that an older and a newer updater can go on with each other's attempt. A higher ``schema`` is touched
by nobody but the updater that knows it.

    journals = JournalFile(paths, fs)
    journals.save(journal)          # temporary file, fsync, rename, fsync of the folder
    journals.load()                 # None: no attempt is under way
"""

from __future__ import annotations

from engineshed_client.journal.file import JournalFile, JournalUnreadable
from engineshed_client.journal.goal import MAX_PROBLEMS, Goal, Origin
from engineshed_client.journal.record import SCHEMA, Journal, Kind, State

__all__ = [
    "MAX_PROBLEMS",
    "SCHEMA",
    "Goal",
    "Journal",
    "JournalFile",
    "JournalUnreadable",
    "Kind",
    "Origin",
    "State",
]
