"""What every poll needs, in the memory of each process: candidates, revocations, stops, channels, files.

A change that polls must obey bumps the ``generation`` in its own transaction. Each process reads that one
number every half second and loads anew when it has moved: a revocation or a new release is in force in
every process within one second, and a poll without news runs no SQL.

``Snapshot`` is frozen and replaced as a whole: a poll sees one consistent picture.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

from engineshed_packages.metadata import NotesFile
from engineshed_packages.target import DEFAULT_CHANNEL, Target
from engineshed_server.db import api_tokens, configurations, engines, orders, portal, releases, stops, trust
from engineshed_server.db.api_tokens import ApiTokenRecord
from engineshed_server.db.database import Database, Session
from engineshed_server.domain.configurations import Configuration
from engineshed_server.domain.decide import Candidate, Decision, EngineFacts, decide
from engineshed_server.domain.stops import Stop
from engineshed_server.errors import TryLater

logger = logging.getLogger(__name__)

MAX_DECIDED = 10_000  # a fleet differs in product, platform, version and channel; a flood of lies, in all
_NEVER = datetime.max.replace(tzinfo=UTC)


# An engine, the spelling of its version, and whether the vendor's metadata has expired.
_Asked: TypeAlias = tuple[EngineFacts, str | None, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One consistent picture of what polls depend on.

    Attributes:
        generation: the number in the database when it was taken; 0 before the first.
        timestamp_version: of the vendor's published metadata; 0 before the first bundle.
        metadata_expires: earliest expiry among the vendor's roles, None before the first bundle.
        newest_date: the newest date the vendor signed, None as long as he has signed none.
        candidates: by product; only packages whose bytes and metadata are public.
        files: packages and notes by download name; those that are arriving too.
        not_enrolled: state by engine id, of those that wait for approval, were refused it or are revoked.
        secret_numbers: by engine id, where more than one secret was given: older ones are dead.
        channels: of those engines that do not follow the default.
        configuration: what engines are to know of the portal. behind: enrolled engines that do not yet.
        holds: by engine id, why it is on hold. stops: the emergency stops that are on.
        ordered: engines for which an administrator's order is open.
        api_tokens: those that were not revoked, by hash.
        faults: stored rows that could not be read; what they protect is not offered, the rest is served.
    """

    generation: int = 0
    timestamp_version: int = 0
    metadata_expires: datetime | None = None
    newest_date: datetime | None = None
    candidates: Mapping[str, tuple[Candidate, ...]] = field(default_factory=dict)
    files: Mapping[str, Target | NotesFile] = field(default_factory=dict)
    not_enrolled: Mapping[str, str] = field(default_factory=dict)
    secret_numbers: Mapping[str, int] = field(default_factory=dict)
    channels: Mapping[str, str] = field(default_factory=dict)
    holds: Mapping[str, str] = field(default_factory=dict)
    configuration: Configuration | None = None
    behind: frozenset[str] = frozenset()
    stops: tuple[Stop, ...] = ()
    api_tokens: Mapping[str, ApiTokenRecord] = field(default_factory=dict)
    ordered: frozenset[str] = frozenset()
    faults: tuple[str, ...] = ()
    _decided: dict[tuple[EngineFacts, str | None, bool], Decision] = field(
        default_factory=dict, compare=False
    )

    def decide(self, engine: EngineFacts, *, now: datetime) -> Decision:
        """What *engine* should do at *now*: the rule's word, remembered for all of which the same is known.

        Of the clock the rule asks only whether the vendor's metadata has expired.
        """
        expired = self.metadata_expires is not None and now >= self.metadata_expires
        # Equal versions may be spelled otherwise, and the text names them.
        key = (engine, None if engine.version is None else engine.version.text, expired)
        known = self._decided.get(key)
        if known is None:
            known = decide(engine, self.candidates_of(engine.product), stops=self.stops, now=now)
            if len(self._decided) < MAX_DECIDED:
                self._decided[key] = known
        return known

    def candidates_of(self, product: str) -> tuple[Candidate, ...]:
        """All candidates of *product*."""
        return self.candidates.get(product, ())

    def state_of(self, engine_id: str) -> str:
        """The engine's state; one this picture does not know is enrolled."""
        return self.not_enrolled.get(engine_id, engines.ENROLLED)

    def channel_of(self, engine_id: str) -> str:
        """The channel the engine follows."""
        return self.channels.get(engine_id, DEFAULT_CHANNEL)


def load_snapshot(database: Database, *, repository: str) -> Snapshot:
    """Read a snapshot in one transaction. A damaged row of trust is named in it, and ends no process.

    Raises:
        TryLater: the database is away.
    """
    faults: list[str] = []
    with database.read() as session:
        generation = portal.get_generation(session)
        known = _find_repository(session, repository, faults)
        floors = trust.list_floors(session)
        packages = releases.list_packages(session)
        notes = releases.list_notes(session)
        not_enrolled = engines.list_not_enrolled(session)
        secret_numbers = engines.list_secret_numbers(session)
        channels = engines.list_channels(session, default=DEFAULT_CHANNEL)
        holds = engines.list_holds(session)
        on = stops.list_stops(session)
        tokens = api_tokens.list_good_api_tokens(session)
        ordered = orders.list_ordered(session)
        configuration = configurations.find_current(session)
        current = configurations.FIRST if configuration is None else configuration.number
        behind = configurations.list_behind(session, current=current, state=engines.ENROLLED)
    faults += [f"the floor of {product} cannot be read" for product, floor in floors.items() if floor is None]
    expires = None if known is None else known.expires
    files: dict[str, Target | NotesFile] = {one.download_name: one for one in notes.values()}
    candidates: dict[str, tuple[Candidate, ...]] = {}
    for package in packages:
        files[package.target.download_name] = package.target
        product = package.target.product
        # Below a floor that cannot be read, an offer could be a downgrade the vendor forbade.
        floor_lost = product in floors and floors[product] is None
        if package.state == releases.PUBLISHED and not floor_lost:
            one = Candidate(
                target=package.target,
                held=package.held,
                hold_reason=package.hold_reason or "",
                floor=floors.get(product),
                metadata_expires=_NEVER if expires is None else expires,
            )
            candidates[product] = (*candidates.get(product, ()), one)
    return Snapshot(
        generation=generation,
        timestamp_version=0 if known is None else known.seen.timestamp_version,
        metadata_expires=expires,
        newest_date=None if known is None else known.seen.newest_date,
        candidates=candidates,
        files=files,
        not_enrolled=not_enrolled,
        secret_numbers=secret_numbers,
        channels=channels,
        holds=holds,
        stops=tuple(one.stop for one in on),
        api_tokens={token.token_hash: token for token in tokens},
        ordered=ordered,
        configuration=configuration,
        behind=behind,
        faults=tuple(faults),
    )


def _find_repository(session: Session, name: str, faults: list[str]) -> trust.RepositoryRecord | None:
    try:
        return trust.find_repository(session, name)
    except TryLater as err:
        if err.code != "trust-unreadable":
            raise
        logger.error("stored trust unreadable", extra={"repository": name, "reason": err.message})
        faults.append(err.message)
        return None


class SnapshotHolder:
    """The current snapshot of a process; ``refresh`` is called every half second and after own changes."""

    def __init__(self, database: Database, *, repository: str) -> None:
        self._database = database
        self._repository = repository
        self._snapshot = Snapshot()
        self._checked = float("-inf")
        self._lock = threading.Lock()

    def current(self) -> Snapshot:
        """The snapshot; no lock and no SQL."""
        return self._snapshot

    def refresh(self) -> bool:
        """Load anew when the generation has moved; true when it had.

        Raises:
            TryLater: the database is away; the snapshot stays as it was.
        """
        with self._lock:
            with self._database.read() as session:
                generation = portal.get_generation(session)
            moved = generation != self._snapshot.generation
            if moved:
                self._snapshot = load_snapshot(self._database, repository=self._repository)
            self._checked = time.monotonic()
            return moved

    def age_s(self) -> float:
        """Seconds since the generation was last read; infinite before the first time."""
        return time.monotonic() - self._checked
