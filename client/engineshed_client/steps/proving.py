"""STARTING and PROBING: the new engine runs, and proves by itself that it is well.

Health is counted in ticks, never by a clock, and asked of the engine alone: trouble with the portal is
not ill health.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

from engineshed_client.errors import EngineTrouble, TreeBroken
from engineshed_client.health import probe_spec
from engineshed_client.install.diagnosis import last_line
from engineshed_client.journal import Journal
from engineshed_client.steps.context import TROUBLE, Context, Event, Result, failed
from engineshed_client.steps.facts import tree_in
from engineshed_client.supervisor import engine_output
from engineshed_packages.versions import Version

MAX_STARTS = 3


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
            said=last_line(engine_output(context.paths)),
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
    before = context.supervisor.identity()
    good, measured, reason = 0, None, ""
    for _ in range(spec.max_ticks):
        context.sleep(spec.interval_s)
        identity = context.supervisor.identity()
        if identity is None:
            return Probed(health=Health.DIED, measured=measured, reason="the engine's process has ended")
        tick = context.probe(spec, expected_version=version)
        measured = tick.version or measured
        if tick.good and identity == before:
            good += 1
        else:
            good, reason = 0, tick.reason if identity == before else "the engine's process was replaced"
        before = identity
        if good >= spec.good_ticks:
            return Probed(health=Health.GOOD, measured=measured, reason="good")
    return Probed(health=Health.BAD, measured=measured, reason=f"after {spec.max_ticks} ticks: {reason}")
