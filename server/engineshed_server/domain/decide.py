"""Which release an engine should install next, and why: a pure function.

``decide`` looks at every release of the engine's product and writes down, for each, the one reason
that speaks against it, or ``fits``. The newest that fits is offered. What is said here is what
``engine explain`` prints, so that an operator sees the same reasons the portal acts on.

What is on hold on this portal, or covered by an emergency stop, is a reason like any other. An engine that is
on hold itself is offered nothing; the reasons say what it would be offered otherwise.

Several steps may be needed: when the newest release asks for a version in between (``min_version``),
the newest release that can be reached now is offered, and the next poll goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from engineshed_packages.protocol import Skipped
from engineshed_packages.target import Target
from engineshed_packages.versions import Version
from engineshed_server.domain.stops import EMERGENCY_STOP, Stop, find_stop

OFFER = "offer"
UP_TO_DATE = "up-to-date"
NOTHING_FITS = "nothing-fits"
NO_RELEASE = "no-release"
WAITING = "waiting-for-approval"
ENGINE_HELD = "engine-held"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """What the decision needs to know of an engine.

    Attributes:
        version: installed version, None when no engine is installed.
        channel: from the portal's own record of the engine, never from the poll.
        skipped: releases that failed, or were taken back, on this engine.
        waits: an admin has not approved it yet: it is offered nothing, whatever fits.
        hold_reason: why an admin keeps the engine as it is; None when it is not on hold.
    """

    product: str
    platform: str
    version: Version | None
    channel: str
    skipped: tuple[Skipped, ...] = ()
    waits: bool = False
    hold_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A package whose bytes and metadata are both published here.

    Attributes:
        held: the portal's admin keeps the release back. hold_reason: why, "" when nobody said.
        floor: the highest floor the vendor ever signed for the product; engines refuse to go below.
        metadata_expires: earliest expiry among the vendor's roles; past it no engine installs.
    """

    target: Target
    held: bool
    floor: Version | None
    metadata_expires: datetime
    hold_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why one candidate is, or is not, the one."""

    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What an engine should do next.

    Attributes:
        code: ``offer``, ``up-to-date``, ``nothing-fits``, ``no-release``, ``emergency-stop``, ``engine-held``
            or ``waiting-for-approval``.
        target: the package to install; None unless ``code`` is ``offer``.
        reasons: one for every candidate of the product, newest first.
    """

    code: str
    text: str
    target: Target | None
    reasons: tuple[Reason, ...]


def decide(
    engine: EngineFacts, candidates: Iterable[Candidate], *, now: datetime, stops: Sequence[Stop] = ()
) -> Decision:
    """Choose the newest automatic release that *engine* may install at *now*, with all reasons."""
    own = [candidate for candidate in candidates if candidate.target.product == engine.product]
    # Of two packages of one version the one made for the platform comes before the one for any.
    own.sort(
        key=lambda candidate: (candidate.target.version, candidate.target.platform != "any"), reverse=True
    )
    chosen: Target | None = None
    reasons: list[Reason] = []
    for candidate in own:
        against = _against(engine, candidate, stops=stops, now=now)
        name = f"{candidate.target.version.text} ({candidate.target.platform})"
        if against is not None:
            reasons.append(Reason(code=against.code, text=f"{name}: {against.text}"))
        elif chosen is not None:
            reasons.append(Reason(code="older-than-chosen", text=f"{name}: {chosen.version.text} is newer"))
        else:
            chosen = candidate.target
            reasons.append(Reason(code="fits", text=f"{name}: fits"))
    return _conclude(engine, chosen, reasons=tuple(reasons))


def _conclude(engine: EngineFacts, chosen: Target | None, *, reasons: tuple[Reason, ...]) -> Decision:
    if engine.version is None:
        here, to = f"no {engine.product} is installed", ", it should be"
        newest, stays = ", and none is meant for this engine", ""
    else:
        here, to = f"{engine.product} {engine.version.text}", " should become"
        newest, stays = " is the newest for this engine", " stays"
    if engine.waits:
        text = "the engine waits for approval by the portal's admin: until then it is offered nothing"
        return Decision(code=WAITING, text=text, target=None, reasons=reasons)
    if chosen is not None and engine.hold_reason is not None:
        text = f"{here}{stays}, and not {chosen.version.text}: the engine is on hold: {engine.hold_reason}"
        return Decision(code=ENGINE_HELD, text=text, target=None, reasons=reasons)
    if chosen is not None:
        code, text = OFFER, f"{here}{to} {chosen.version.text}"
    elif not reasons:
        code, text = NO_RELEASE, f"no release of {engine.product} is published here"
    elif all(reason.code in _NO_NEWS for reason in reasons):
        code, text = UP_TO_DATE, f"{here}{newest}"
    else:
        first = next(reason for reason in reasons if reason.code not in _NO_NEWS)
        code = EMERGENCY_STOP if first.code == EMERGENCY_STOP else NOTHING_FITS
        text = f"{here}{stays}: {first.text}"
    return Decision(code=code, text=text, target=chosen, reasons=reasons)


# Reasons that leave nothing to be done: the engine has it, or it was never meant for it.
_NO_NEWS = frozenset({"not-newer", "other-platform", "other-channel"})


def _against(
    engine: EngineFacts, candidate: Candidate, *, stops: Sequence[Stop], now: datetime
) -> Reason | None:
    """The first reason that speaks against *candidate*, or None."""
    target = candidate.target
    installed = engine.version
    if not target.fits(engine.platform):
        return Reason(code="other-platform", text=f"the engine runs on {engine.platform}")
    if installed is not None and target.version <= installed:
        return Reason(code="not-newer", text=f"{installed.text} is installed")
    if target.channel != engine.channel:
        return Reason(
            code="other-channel",
            text=f"it is in channel {target.channel}, the engine follows {engine.channel}",
        )
    if target.withdrawn:
        why = f": {target.message}" if target.message else ""
        return Reason(code="withdrawn", text=f"the vendor withdrew it{why}")
    if candidate.held:
        why = f": {candidate.hold_reason}" if candidate.hold_reason else ""
        return Reason(code="held", text=f"it is on hold on this portal{why}")
    if target.mode != "automatic":
        return Reason(
            code="not-automatic", text=f"its mode is {target.mode}, only automatic ones are offered"
        )
    if candidate.floor is not None and target.version < candidate.floor:
        return Reason(code="below-floor", text=f"the vendor's floor is {candidate.floor.text}")
    if installed is not None and target.min_version is not None and installed < target.min_version:
        return Reason(code="step-needed", text=f"it needs {target.min_version.text} first")
    if any(one.sha256 == target.sha256 and one.version == target.version for one in engine.skipped):
        return Reason(
            code="skipped",
            text="it failed or was taken back on this engine before: it waits for an order that says retry",
        )
    if now >= candidate.metadata_expires:
        return Reason(
            code="metadata-expired", text="the vendor's metadata has expired: upload a newer bundle"
        )
    stop = find_stop(stops, target.product, channels=(engine.channel, target.channel))
    return None if stop is None else Reason(code=EMERGENCY_STOP, text=stop.text)
