"""What an administrator may order an engine to do, and when such an order is sent: pure rules.

``find_package`` chooses the package of an install when it is ordered, or says which one rule speaks against
it. ``decide_given`` says at each poll whether an order that stands is sent. Both look at a release the same
way; only what the engine itself checks when it is handed the order is left to it the second time.

An administrator's order stands until it is answered, refused, superseded by another administrator's order,
or has expired. While it stands, nothing is offered to the engine by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from engineshed_packages.orders import CANCEL, INSTALL, RESTART, ROLLBACK, START, STOP
from engineshed_packages.versions import Version
from engineshed_server.domain.decide import Candidate, Decision, EngineFacts, Reason
from engineshed_server.domain.stops import EMERGENCY_STOP, Stop, find_stop

RETRY = "retry"  # an install of what failed here before; engines know it as a claim of the install
GIVEN_VERBS = (INSTALL, ROLLBACK, CANCEL, START, STOP, RESTART, RETRY)
# What an emergency stop holds back: all that puts another engine in the place of the one that is there.
CHANGING = frozenset({INSTALL, ROLLBACK})

# The codes of what may speak against an install or a retry when it is ordered.
WISH_REFUSED = (
    *("below-floor", "held", "metadata-expired", "not-newer", "nothing-to-retry", "other-platform"),
    *("release-unknown", "skipped", "step-needed", "withdrawn"),
)

ORDERED = "ordered"
ORDER_WAITS = "order-waits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Which release an administrator wants on an engine.

    Attributes:
        version: None with *retry*: the newest that failed there.
        allow_downgrade, retry, although_held: what he says besides.
    """

    version: Version | None
    allow_downgrade: bool = False
    retry: bool = False
    although_held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """An administrator's order that stands for an engine.

    Attributes:
        do: the verb as engines know it. sha256: of the package it installs.
        version: of that package, or of the kept engine it returns to.
    """

    order_id: str
    do: str
    given_by: str
    message: str
    version: str | None
    sha256: str | None
    although_held: bool
    accept_before: datetime

    @property
    def text(self) -> str:
        """What was ordered, by whom and why, in one sentence."""
        version = "" if self.version is None else f" {self.version}"
        why = f": {self.message}" if self.message else ""
        return f"{self.given_by} ordered it to {self.do}{version}{why}"


def find_package(
    wish: Wish, engine: EngineFacts, candidates: Iterable[Candidate], *, now: datetime
) -> Candidate | Reason:
    """The package that fulfils *wish* on *engine*, or the first reason against it."""
    own = [one for one in candidates if one.target.product == engine.product]
    if wish.version is None:
        own = [one for one in own if _is_skipped(engine, one)]
        missing = Reason(code="nothing-to-retry", text="nothing that is published here failed on this engine")
    else:
        own = [one for one in own if one.target.version == wish.version]
        missing = Reason(
            code="release-unknown",
            text=f"no release {engine.product} {wish.version} is published here: see the list of releases",
        )
    # Of two packages of one version the one made for the platform comes before the one for any.
    own.sort(key=lambda one: (one.target.version, one.target.platform != "any"), reverse=True)
    found = next((one for one in own if one.target.fits(engine.platform)), None)
    if found is None:
        if not own:
            return missing
        there = ", ".join(sorted(one.target.platform for one in own))
        return Reason(
            code="other-platform", text=f"the engine runs on {engine.platform}, packages are for {there}"
        )
    against = _against_release(found, although_held=wish.although_held, now=now)
    against = against or _against_wish(wish, engine, found)
    return found if against is None else against


def _is_skipped(engine: EngineFacts, candidate: Candidate) -> bool:
    target = candidate.target
    return any(one.sha256 == target.sha256 and one.version == target.version for one in engine.skipped)


def _against_release(candidate: Candidate, *, although_held: bool, now: datetime) -> Reason | None:
    """What speaks against a release whichever engine asks; holds at each poll."""
    target = candidate.target
    if target.withdrawn:
        return Reason(code="withdrawn", text=f"the vendor withdrew {target.version}")
    if candidate.held and not although_held:
        why = f" ({candidate.hold_reason})" if candidate.hold_reason else ""
        return Reason(
            code="held", text=f"{target.version} is on hold{why}: let it go first, or order it although held"
        )
    if candidate.floor is not None and target.version < candidate.floor:
        return Reason(
            code="below-floor",
            text=f"{target.version} is below the vendor's floor {candidate.floor}: no engine installs it",
        )
    if now >= candidate.metadata_expires:
        return Reason(
            code="metadata-expired", text="the vendor's metadata has expired: upload a newer bundle"
        )
    return None


def _against_wish(wish: Wish, engine: EngineFacts, candidate: Candidate) -> Reason | None:
    """What the engine would refuse; said beforehand, so that nobody waits for it."""
    target, installed = candidate.target, engine.version
    if installed is not None and target.version <= installed and not wish.allow_downgrade:
        how = "is installed" if target.version == installed else f"is older than {installed}, the installed"
        return Reason(
            code="not-newer", text=f"{target.version} {how}: allow the downgrade if that is what is meant"
        )
    step = target.min_version
    if installed is not None and step is not None and installed < step:
        return Reason(
            code="step-needed", text=f"{target.version} needs {step} installed first, {installed} is"
        )
    if _is_skipped(engine, candidate) and not wish.retry:
        return Reason(
            code="skipped", text=f"{target.version} failed or was taken back on this engine: order a retry"
        )
    return None


def has_lapsed(given: Given, *, at_work: bool, now: datetime) -> bool:
    """Whether nobody may accept the order any more; one that an engine is *at_work* on was accepted."""
    return not at_work and now >= given.accept_before


def decide_given(
    given: Given,
    engine: EngineFacts,
    candidates: Sequence[Candidate],
    *,
    stops: Sequence[Stop],
    now: datetime,
) -> Decision:
    """Whether the order that stands is sent at *now* (``ORDERED``), and if not, why it waits."""
    own = next((one for one in candidates if one.target.sha256 == given.sha256), None)
    target = None if own is None else own.target
    against = _against_given(given, engine, own, stops=stops, now=now)
    if against is None:
        said = Reason(code=ORDERED, text=given.text)
        return Decision(code=ORDERED, text=given.text, target=target, reasons=(said,))
    code = EMERGENCY_STOP if against.code == EMERGENCY_STOP else ORDER_WAITS
    text = f"{given.text}, but that waits: {against.text}"
    said = Reason(code=against.code, text=text)
    return Decision(code=code, text=text, target=None, reasons=(said,))


def _against_given(
    given: Given, engine: EngineFacts, own: Candidate | None, *, stops: Sequence[Stop], now: datetime
) -> Reason | None:
    if given.do not in CHANGING:
        return None
    if given.do == INSTALL:
        if own is None:
            return Reason(code="delisted", text=f"{given.version} is not published here any more")
        against = _against_release(own, although_held=given.although_held, now=now)
        if against is not None:
            return against
    channels = (engine.channel,) if own is None else (engine.channel, own.target.channel)
    stop = find_stop(stops, engine.product, channels=channels)
    return None if stop is None else Reason(code=EMERGENCY_STOP, text=stop.text)
