"""How long to wait: pure rules, their chance and their times handed in.

Between polls the portal's word counts; in trouble the wait doubles up to an hour, and what the portal
asked for (Retry-After) is never undercut. Jitter keeps a fleet that was cut off together from coming back
together. An attempt that was aborted is not begun again at once for the same thing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_TROUBLE_WAIT_S = 3600.0
FIRST_REST_S = 60.0
MAX_REST_S = 24 * 3600.0
_JITTER = 0.2  # of the wait, to either side; only upwards where the other side named the wait
_MAX_DOUBLINGS = 30


def poll_wait_s(poll_s: float, chance: float) -> float:
    """Seconds to the next poll when all is well; *chance* is from 0 to 1."""
    return poll_s * (1 - _JITTER + 2 * _JITTER * chance)


def trouble_wait_s(poll_s: float, troubles: int, *, retry_after_s: int | None, chance: float) -> float:
    """Seconds to the next poll after *troubles* failures in a row, the first being 1."""
    doubled = poll_s * 2 ** min(troubles - 1, _MAX_DOUBLINGS)
    wait_s = poll_wait_s(min(doubled, max(MAX_TROUBLE_WAIT_S, poll_s)), chance)
    if retry_after_s is None:
        return wait_s
    return max(wait_s, retry_after_s * (1 + _JITTER * chance))


@dataclass(frozen=True, slots=True)
class Rest:
    """How often something failed in a row, and until when on the monotonic clock it is left alone."""

    failures: int
    until: float


@dataclass(slots=True)
class Rests:
    """What is not to be tried again yet, by name: a package's digest, an order's id. In memory only."""

    _rests: dict[str, Rest] = field(default_factory=dict)

    def is_resting(self, name: str, clock: float) -> bool:
        """Whether *name* is to be left alone at the monotonic time *clock*."""
        rest = self._rests.get(name)
        return rest is not None and clock < rest.until

    def failed(self, name: str, clock: float) -> None:
        """*name* failed once more: it rests twice as long as the last time."""
        before = self._rests.get(name)
        failures = 1 if before is None else before.failures + 1
        rest_s = min(FIRST_REST_S * 2 ** min(failures - 1, _MAX_DOUBLINGS), MAX_REST_S)
        self._rests = {other: rest for other, rest in self._rests.items() if rest.until > clock - MAX_REST_S}
        self._rests[name] = Rest(failures, clock + rest_s)

    def went_well(self, name: str) -> None:
        """*name* needs no rest any more."""
        self._rests.pop(name, None)
