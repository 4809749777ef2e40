"""``own.json``: a change of the updater's version that is under way.

Saved before the launcher's files are touched, and removed when its report waits in the outbox. Whichever
version runs then knows how it ended: the new one that it came up, the one before that it did not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import partial

from engineshed_client.errors import DiskTrouble
from engineshed_client.fsops import FsOps
from engineshed_client.paths import Paths
from engineshed_client.under_way import UnderWayFile
from engineshed_packages.ids import check_id
from engineshed_packages.jsontext import Fields, Json, read_object, without_absent, write_compact
from engineshed_packages.protocol import Step
from engineshed_packages.times import format_time
from engineshed_packages.versions import Version

SCHEMA = 1
MAX_OWN_BYTES = 16 * 1024
MAX_STEPS = 16


class OwnState(StrEnum):
    """What a change is in; the value is the name on disk."""

    SWITCHING = "SWITCHING"  # the launcher is told to start the new one, which then has to come up
    ROLLING_BACK = "ROLLING_BACK"  # it did not: the launcher is told to start the one before


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change from one version of the updater to another.

    Attributes:
        origin, goal: the versions. name: of the folder that the origin runs from, None for the installed
            distribution; previous: what stood behind it.
        sha256: of the goal's package.
        order_id, seq: of the order that asked for it.
    """

    attempt: str
    state: OwnState
    origin: Version
    goal: Version
    sha256: str
    order_id: str
    seq: int
    started: datetime
    name: str | None = None
    previous: str | None = None
    steps: tuple[Step, ...] = ()
    extra: Mapping[str, Json] = field(default_factory=dict)

    def moved(self, state: OwnState, now: datetime) -> Change:
        """This change in *state*, entered at *now*."""
        steps = (*self.steps, Step(state=state.value, at=now))[-MAX_STEPS:]
        return replace(self, state=state, steps=steps)

    @classmethod
    def from_bytes(cls, data: bytes) -> Change:
        """Read the file.

        Raises:
            PackagesError: it cannot be read, or a newer updater wrote it in a way of its own.
        """
        fields = Fields(read_object(data, what="own", max_bytes=MAX_OWN_BYTES), "own")
        if fields.integer("schema", low=1) > SCHEMA:
            raise fields.wrong("schema", f"at most {SCHEMA}")
        state = fields.text("state", max_chars=32)
        if state not in OwnState._value2member_map_:
            raise fields.wrong("state", " or ".join(OwnState))
        return cls(
            attempt=check_id("att", fields.text("attempt")),
            state=OwnState(state),
            origin=Version.parse(fields.text("from", max_chars=64)),
            goal=Version.parse(fields.text("to", max_chars=64)),
            sha256=fields.sha256("sha256"),
            order_id=check_id("ord", fields.text("order_id")),
            seq=fields.integer("seq", low=0),
            started=fields.time("started"),
            name=fields.text_or_none("name", max_chars=64),
            previous=fields.text_or_none("previous", max_chars=64),
            steps=tuple(Step.from_dict(item) for item in fields.objects("steps", max_items=MAX_STEPS)),
            extra=fields.rest(),
        )

    def to_bytes(self) -> bytes:
        """The file's content: compact JSON, absent fields left out, ``schema`` first."""
        known = without_absent(
            {
                "attempt": self.attempt,
                "state": self.state.value,
                "from": self.origin.text,
                "to": self.goal.text,
                "sha256": self.sha256,
                "order_id": self.order_id,
                "seq": self.seq,
                "started": format_time(self.started),
                "name": self.name,
                "previous": self.previous,
                "steps": [step.to_dict() for step in self.steps],
            }
        )
        return write_compact({"schema": SCHEMA, **self.extra, **known})


class OwnUnreadable(DiskTrouble):
    """The file is there and says nothing; which version stays is decided by which one was started."""


class OwnFile(UnderWayFile[Change]):
    """``own.json`` on disk; ``load`` raises OwnUnreadable when it says nothing."""

    def __init__(self, paths: Paths, fs: FsOps) -> None:
        super().__init__(
            paths.own,
            fs,
            max_bytes=MAX_OWN_BYTES,
            read=Change.from_bytes,
            unreadable=partial(OwnUnreadable, "own-file-unreadable"),
        )
