"""What a step is given: the disk, the engine as a service, the log, the portal, and a clock.

One ``Context`` per process, made by the command line; every part is chosen there and nowhere else, so
that tests run the real machine with parts of their own. Nothing in it changes while an attempt runs; what
changes is in the journal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, StrEnum, auto
from typing import Protocol, TypeAlias

from engineshed_client.errors import ClientError, disk_trouble
from engineshed_client.fetch import Portal
from engineshed_client.fsops import FsOps
from engineshed_client.health import Tick, probe_once
from engineshed_client.journal import Journal, JournalFile
from engineshed_client.paths import Paths
from engineshed_client.reports import Outbox, UpdateLog
from engineshed_client.seen import SeenFile
from engineshed_client.settings import Settings
from engineshed_client.supervisor import Supervisor
from engineshed_packages.errors import PackagesError
from engineshed_packages.manifest import ProbeSpec
from engineshed_packages.versions import Version

# What a step may meet; anything else is a bug, and the process ends with it.
Trouble: TypeAlias = ClientError | PackagesError | OSError
TROUBLE = (ClientError, PackagesError, OSError)
NO_ATTEMPT = "none"  # of a line in update.log that belongs to no attempt


class Event(Enum):
    """How a step ended; the table in ``machine`` says what follows."""

    DONE = auto()
    AGAIN = auto()  # not yet: the same, or the state before
    WAIT = auto()  # nothing to be done now: the attempt stays as it is
    SKIP = auto()  # the engine was not running before, so it is not started now
    DIED = auto()  # the engine ended while it was probed
    UNDONE = auto()  # the old engine is in its place after all
    FAILED = auto()


Result: TypeAlias = tuple[Event, Journal]


class Word(StrEnum):
    """What the gate before STOPPING says."""

    GO = "GO"
    WAIT = "WAIT"  # outside the window: the engine runs on, ask again at the next poll
    CANCEL = "CANCEL"  # cancelled, held, withdrawn, superseded, too late


@dataclass(frozen=True, slots=True, kw_only=True)
class Clearance:
    """The gate's answer; *code* and *message* say why, and end an attempt that is cancelled."""

    word: Word
    code: str = "ok"
    message: str = ""


class Gate(Protocol):
    """The last question before the engine is stopped for an order (``docs/protocol.md``, Order).

    Window and ``start_before`` of the order in ``journal.order`` are looked at again and the portal is
    polled once. A portal that cannot be reached means GO when the order says ``offline_start``, else WAIT
    (raising ``PortalUnavailable`` means the same). Local commands are never asked.
    """

    def ask(self, journal: Journal, now: datetime) -> Clearance:
        """Whether the engine may be stopped now."""
        ...


class Probe(Protocol):
    """One look at the engine's health; ``health.probe_once``."""

    def __call__(self, spec: ProbeSpec, *, expected_version: Version) -> Tick: ...


def no_progress(received_bytes: int, total_bytes: int) -> None:
    """Shows nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Everything the steps work with.

    Attributes:
        engine_id: this engine's identity for the report; None before it was enrolled, then no report
            can be addressed and only update.log tells.
        gate: asked before the engine is stopped for an order; None waits until there is one.
        portal: None when none is configured; then only local commands work.
        now: the host's clock, aware UTC. Decides names and log lines, never how long something takes.
        sleep: waits that many seconds; the only passing of time in a step.
        progress: told (received, total) bytes while downloading.
    """

    paths: Paths
    settings: Settings
    fs: FsOps
    supervisor: Supervisor
    log: UpdateLog
    outbox: Outbox
    seen: SeenFile
    journals: JournalFile
    portal: Portal | None
    gate: Gate | None
    engine_id: str | None
    updater_version: str
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    probe: Probe = probe_once
    progress: Callable[[int, int], None] = no_progress

    def save(self, journal: Journal) -> Journal:
        """Save *journal* and count the writing.

        Raises:
            JournalUnwritable: what it announces must not happen.
        """
        journal = replace(journal, writes=journal.writes + 1)
        self.journals.save(journal)
        return journal


def fault_of(err: Trouble) -> tuple[str, str]:
    """Code and message of what a step met."""
    known = disk_trouble(err) if isinstance(err, OSError) else err
    return known.code, known.message


def failed(context: Context, journal: Journal, err: Trouble) -> Result:
    """A step met *err*: a line in update.log, and the event FAILED with the first fault kept."""
    code, message = fault_of(err)
    context.log.event(journal.attempt, "FAULT", state=journal.state, code=code, message=message)
    return Event.FAILED, journal.with_fault(code, message)
