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

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from engineshed_client.errors import DiskTrouble, JournalUnwritable, NewerSchema, disk_trouble
from engineshed_client.fsops import FsOps
from engineshed_client.paths import Paths
from engineshed_packages.errors import PackagesError
from engineshed_packages.ids import check_id
from engineshed_packages.jsontext import Fields, Json, escape_controls, read_object, write_compact
from engineshed_packages.protocol import Step, without_absent
from engineshed_packages.target import Target
from engineshed_packages.times import format_time
from engineshed_packages.versions import Version

SCHEMA = 1
MAX_JOURNAL_BYTES = 512 * 1024
MAX_STEPS = 64
MAX_MESSAGE_CHARS = 2000
MAX_PROBLEMS = 20


class State(StrEnum):
    """What the machine is in; the value is the name on disk."""

    IDLE = "IDLE"
    DOWNLOADING = "DOWNLOADING"
    VERIFYING = "VERIFYING"
    STAGING = "STAGING"
    STAGED = "STAGED"
    STOPPING = "STOPPING"
    CARRYING = "CARRYING"
    SWAPPING = "SWAPPING"
    STARTING = "STARTING"
    PROBING = "PROBING"
    COMMITTED = "COMMITTED"
    ABORTED = "ABORTED"
    ROLLING_BACK = "ROLLING_BACK"
    ROLLED_BACK = "ROLLED_BACK"
    BROKEN = "BROKEN"
    UNKNOWN = "UNKNOWN"  # read, never written: a state of an updater that knows more


class Kind(StrEnum):
    """What asked for the attempt; also the ``kind`` of its report."""

    UPDATE = "update"  # a portal's order
    INSTALL = "install"  # the host's administrator, from a bundle
    ROLLBACK = "rollback"  # to a kept previous version


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The engine an attempt starts from.

    Attributes:
        problems: how it differed from its manifest right before it was stopped (at most 20): a customer
            who patched a shipped file gets exactly that engine back.
    """

    version: Version
    manifest_sha256: str
    problems: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, values: Mapping[str, Json]) -> Origin:
        """Read the object."""
        fields = Fields(values, "journal")
        return cls(
            version=Version.parse(fields.text("version", max_chars=64)),
            manifest_sha256=fields.sha256("manifest_sha256"),
            problems=fields.texts("problems", max_items=MAX_PROBLEMS, max_chars=1000),
        )

    def to_dict(self) -> dict[str, Json]:
        """The JSON object."""
        return {
            "version": self.version.text,
            "manifest_sha256": self.manifest_sha256,
            "problems": list(self.problems),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """The engine an attempt wants: a signed package, or a previous version that was kept.

    Attributes:
        target: the package as the vendor's metadata was verified; None for a kept version.
        folder: name of the kept version's folder in the base; None for a package.
    """

    version: Version
    manifest_sha256: str
    target: Target | None = None
    folder: str | None = None

    def __post_init__(self) -> None:
        if (self.target is None) == (self.folder is None):
            raise ValueError("a goal is either a package or a kept folder")

    @classmethod
    def from_dict(cls, values: Mapping[str, Json]) -> Goal:
        """Read the object."""
        fields = Fields(values, "journal")
        package = fields.object_or_none("package")
        return cls(
            version=Version.parse(fields.text("version", max_chars=64)),
            manifest_sha256=fields.sha256("manifest_sha256"),
            target=None if package is None else _read_target(package),
            folder=fields.text_or_none("folder"),
        )

    def to_dict(self) -> dict[str, Json]:
        """The JSON object."""
        return without_absent(
            {
                "version": self.version.text,
                "manifest_sha256": self.manifest_sha256,
                "package": None if self.target is None else _write_target(self.target),
                "folder": self.folder,
            }
        )


def _read_target(values: Mapping[str, Json]) -> Target:
    fields = Fields(values, "journal")
    return Target.from_custom(
        fields.text("path", max_chars=400),
        length_bytes=fields.integer("length"),
        sha256=fields.sha256("sha256"),
        custom=fields.object_or_none("custom") or {},
    )


def _write_target(target: Target) -> dict[str, Json]:
    custom: dict[str, Json] = dict(target.to_custom())
    return {"path": target.path, "length": target.length_bytes, "sha256": target.sha256, "custom": custom}


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """The state of one attempt.

    Attributes:
        attempt: id; names the BEGIN and END lines and the one report.
        origin: the engine found at the beginning; None for a first installation.
        writes: how often this was saved; the loop breaker counts it.
        tries: downloads begun. starts: starts of the new engine, returns: of the old one, each
            counted before it happens.
        order: the order's envelope as received; None for a local command.
        bundle: absolute path of the bundle a local installation reads.
        was_running: whether the engine ran before it was stopped; None before STOPPING.
        start_type: how the service was set to start, for supervisors that know such a thing.
        previous: name of the folder the old engine moves to; None before SWAPPING.
        code, message: the first fault; "" while there is none.
        measured: the version the engine itself answered last.
        steps: the states gone through, for the report.
    """

    attempt: str
    kind: Kind
    state: State
    goal: Goal
    origin: Origin | None
    started: datetime
    writes: int = 0
    tries: int = 0
    starts: int = 0
    returns: int = 0
    order: Mapping[str, Json] | None = None
    order_id: str | None = None
    seq: int = 0
    bundle: str | None = None
    was_running: bool | None = None
    start_type: str | None = None
    previous: str | None = None
    code: str = ""
    message: str = ""
    measured: str | None = None
    steps: tuple[Step, ...] = ()
    extra: Mapping[str, Json] = field(default_factory=dict)

    def moved(self, state: State, now: datetime) -> Journal:
        """This journal in *state*, entered at *now*."""
        steps = (*self.steps, Step(state=state.value, at=now))[-MAX_STEPS:]
        return replace(self, state=state, steps=steps)

    def with_fault(self, code: str, message: str) -> Journal:
        """This journal with its first fault: what follows from it does not hide the cause."""
        if self.code:
            return self
        return replace(self, code=code, message=escape_controls(message)[:MAX_MESSAGE_CHARS])

    @classmethod
    def from_bytes(cls, data: bytes) -> Journal:
        """Read the file.

        Raises:
            NewerSchema: a newer updater wrote it.
            PackagesError: it cannot be read.
        """
        fields = Fields(read_object(data, what="journal", max_bytes=MAX_JOURNAL_BYTES), "journal")
        schema = fields.integer("schema", low=1)
        if schema > SCHEMA:
            raise NewerSchema(
                "journal-newer",
                f"the journal has schema {schema}, this updater knows {SCHEMA}: "
                "leave everything as it is and start the newer updater",
            )
        state = fields.text("state", max_chars=32)
        origin, goal = fields.object_or_none("from"), fields.object_or_none("to")
        if goal is None:
            raise fields.wrong("to", "an object")
        order_id = fields.text_or_none("order_id")
        return cls(
            attempt=check_id("att", fields.text("attempt")),
            kind=_read_kind(fields),
            state=State(state) if state in State._value2member_map_ else State.UNKNOWN,
            goal=Goal.from_dict(goal),
            origin=None if origin is None else Origin.from_dict(origin),
            started=fields.time("started"),
            writes=fields.integer("writes", default=0),
            tries=fields.integer("tries", default=0),
            starts=fields.integer("starts", default=0),
            returns=fields.integer("returns", default=0),
            order=fields.object_or_none("order"),
            order_id=None if order_id is None else check_id("ord", order_id),
            seq=fields.integer("seq", default=0),
            bundle=fields.text_or_none("bundle", max_chars=4096),
            was_running=_flag_or_none(fields, "was_running"),
            start_type=fields.text_or_none("start_type", max_chars=32),
            previous=fields.text_or_none("previous"),
            code=fields.text_or_none("code", max_chars=64) or "",
            message=fields.text_or_none("message", max_chars=MAX_MESSAGE_CHARS) or "",
            measured=fields.text_or_none("measured", max_chars=64),
            steps=tuple(Step.from_dict(item) for item in fields.objects("steps", max_items=MAX_STEPS)),
            extra=fields.rest(),
        )

    def to_bytes(self) -> bytes:
        """The file's content: compact JSON, absent fields left out, ``schema`` first."""
        known = without_absent(
            {
                "attempt": self.attempt,
                "kind": self.kind.value,
                "state": self.state.value,
                "from": None if self.origin is None else self.origin.to_dict(),
                "to": self.goal.to_dict(),
                "started": format_time(self.started),
                "writes": self.writes,
                "tries": self.tries,
                "starts": self.starts,
                "returns": self.returns,
                "order": None if self.order is None else dict(self.order),
                "order_id": self.order_id,
                "seq": self.seq,
                "bundle": self.bundle,
                "was_running": self.was_running,
                "start_type": self.start_type,
                "previous": self.previous,
                "code": self.code,
                "message": self.message,
                "measured": self.measured,
                "steps": [step.to_dict() for step in self.steps],
            }
        )
        return write_compact({"schema": SCHEMA, **self.extra, **known})


def _read_kind(fields: Fields) -> Kind:
    text = fields.text("kind", max_chars=32)
    if text not in Kind._value2member_map_:
        raise fields.wrong("kind", " or ".join(Kind))
    return Kind(text)


def _flag_or_none(fields: Fields, name: str) -> bool | None:
    return fields.flag(name) if name in fields.rest() else None


class JournalUnreadable(DiskTrouble):
    """The journal is there but says nothing; what happened is decided by facts on disk."""


class JournalFile:
    """``journal.json`` on disk."""

    def __init__(self, paths: Paths, fs: FsOps) -> None:
        self._path = paths.journal
        self._fs = fs

    def load(self) -> Journal | None:
        """The journal, or None when no attempt is under way. Changes nothing.

        Raises:
            NewerSchema: a newer updater wrote it.
            JournalUnreadable: it is damaged; see ``set_aside``.
            DiskTrouble: whether it is there cannot be told.
        """
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as err:
            raise disk_trouble(err) from err
        try:
            return Journal.from_bytes(data)
        except (PackagesError, ValueError) as err:
            raise JournalUnreadable(
                "journal-unreadable", f"{self._path} has {len(data)} bytes that are no journal: {err}"
            ) from err

    def save(self, journal: Journal) -> None:
        """Replace the journal on disk, durably.

        Raises:
            JournalUnwritable: the journal on disk is as it was.
        """
        try:
            self._fs.write_file(self._path, journal.to_bytes(), mode=0o600)
        except OSError as err:
            trouble = disk_trouble(err)
            raise JournalUnwritable(trouble.code, f"the journal cannot be saved: {trouble.message}") from err

    def set_aside(self) -> None:
        """Keep an unreadable journal as ``journal.json.corrupt``, for people."""
        self._fs.replace(self._path, self._path.with_name(self._path.name + ".corrupt"))
        self._fs.sync_folder(self._path.parent)

    def drop(self) -> None:
        """The attempt is over."""
        self._fs.remove_file(self._path)
        self._fs.sync_folder(self._path.parent)
