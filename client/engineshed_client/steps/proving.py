"""STARTING and PROBING: the new engine runs, and proves by itself that it is well.

Health is counted in ticks, never by a clock, and asked of the engine alone: trouble with the portal is
not ill health.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

from engineshed_client.errors import EngineTrouble, TreeBroken
from engineshed_client.health import Tick, probe_spec
from engineshed_client.install.diagnosis import last_line
from engineshed_client.journal import Journal
from engineshed_client.steps.context import TROUBLE, Context, Event, Result, failed
from engineshed_client.steps.facts import tree_in
from engineshed_client.supervisor import engine_output
from engineshed_packages.versions import Version

MAX_STARTS = 3
# Whoever starts it again and again, and however well it is in between: that is no healthy engine.
MAX_REPLACED = 3
MAX_TURNS = 3


class Health(Enum):
    """What a row of ticks came to."""

    GOOD = auto()
    DIED = auto()
    BAD = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """A row of ticks: what it came to, the version the engine named last, and why the last bad one was."""

    health: Health
    measured: str | None
    reason: str


def starting(context: Context, journal: Journal) -> Result:
    """Start the new engine, the start counted before; not when the old one did not run either.

    One that the service manager has started at boot was started once.
    """
    if not journal.was_running:
        return Event.SKIP, journal
    if context.supervisor.is_running():
        return Event.DONE, replace(journal, starts=max(1, journal.starts))
    if context.supervisor.is_held_back():
        context.supervisor.start()
        return Event.WAIT, journal
    if journal.starts >= MAX_STARTS:
        raise EngineTrouble(
            "too-many-starts",
            f"{journal.goal.version} was started {journal.starts} times and did not become healthy",
        )
    journal = context.save(replace(journal, starts=journal.starts + 1))
    try:
        context.supervisor.start()
    except TROUBLE as err:
        return failed(context, journal, err)  # with the start counted
    return Event.DONE, journal


def probing(context: Context, journal: Journal) -> Result:
    """Probe the new engine until it is healthy, ends, or was given enough ticks."""
    probed = probe_engine(context, journal.goal.version)
    journal = replace(journal, measured=probed.measured or journal.measured)
    if probed.health is Health.GOOD:
        return Event.DONE, journal
    if probed.health is Health.DIED:
        context.log.event(
            journal.attempt,
            "DIED",
            starts=journal.starts,
            exit=context.supervisor.exit_code(),
            said=last_line(engine_output(context.paths), context.supervisor.said()),
        )
        return Event.DIED, journal
    return Event.FAILED, journal.with_fault("unhealthy", probed.reason)


def probe_engine(context: Context, version: Version) -> Probed:
    """Look at the engine in ``engine/`` until enough good ticks in a row show that it is *version* and well.

    A tick is good when the process is the one of the tick before and the probe says so.

    Raises:
        TreeBroken, SettingsRefused: there is nothing to be probed, or no way.
    """
    tree = tree_in(context, context.paths.engine)
    if tree is None:
        raise TreeBroken("engine-missing", f"{context.paths.engine} holds no engine to be probed")
    spec = probe_spec(tree.manifest.probe, context.settings, context.paths)
    row = Row(spec.good_ticks, context.supervisor.identity())
    for _ in range(spec.max_ticks):
        context.sleep(spec.interval_s)
        identity = context.supervisor.identity()
        if identity is None:
            return row.ended(Health.DIED, "the engine's process has ended")
        found = row.add(identity, context.probe(spec, expected_version=version))
        if found is not None:
            return found
    return row.ended(Health.BAD, f"after {spec.max_ticks} ticks: {row.reason}")


class Row:
    """Ticks one after the other, and what they come to.

    Args:
        wanted: good ticks in a row that prove health. identity: the process before the first tick.
    """

    def __init__(self, wanted: int, identity: str | None) -> None:
        self._wanted = wanted
        self._before = identity
        self._good = 0
        self._replaced = 0
        self._turns = 0
        self._measured: str | None = None
        self.reason = ""

    def add(self, identity: str, tick: Tick) -> Probed | None:
        """One more tick of the process *identity*; None while nothing is proven."""
        self._measured = tick.version or self._measured
        same, self._before = identity == self._before, identity
        if not same:
            self._replaced += 1
        if tick.good and same:
            self._good += 1
            return self.ended(Health.GOOD, "good") if self._good >= self._wanted else None
        self._turns += self._good > 0
        self._good = 0
        self.reason = tick.reason if same else "the engine's process was replaced"
        if self._replaced >= MAX_REPLACED:
            return self.ended(Health.BAD, f"the engine's process was replaced {self._replaced} times")
        if self._turns >= MAX_TURNS:
            return self.ended(Health.BAD, f"well and ill in turn, {self._turns} times: {self.reason}")
        return None

    def ended(self, health: Health, reason: str) -> Probed:
        """What the row came to."""
        return Probed(health=health, measured=self._measured, reason=reason)
