"""How long the vendor's signatures live, when to warn, when to refuse. Pure rules.

Long and hard: forgotten re-signing has broken more fleets than attackers. Freshness is judged elsewhere,
by the signed date in the timestamp (``x-issued``) and each party's own age policy.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from engineshed_packages.errors import KeyUnusable
from engineshed_packages.times import format_time

YEAR = timedelta(days=365)
# By TUF's own role names; every delegated role is a product's.
_LIFE = {"root": 10 * YEAR, "targets": 5 * YEAR, "snapshot": 3 * YEAR, "timestamp": 3 * YEAR}
_PRODUCT_LIFE = 3 * YEAR
WARN_FROM_PERCENT = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleAge:
    """How far one role's signature has come in its life.

    Attributes:
        used_percent: 0 when just signed, 100 and more when expired.
    """

    name: str
    expires: datetime
    days_left: int
    used_percent: int

    @property
    def needs_warning(self) -> bool:
        """Whether it should be signed anew soon."""
        return self.used_percent >= WARN_FROM_PERCENT

    @property
    def expired(self) -> bool:
        """Whether every engine refuses it now."""
        return self.used_percent >= 100


def life_of(role: str) -> timedelta:
    """How long a new signature of *role* lives."""
    return _LIFE.get(role, _PRODUCT_LIFE)


def expiry_of(role: str, now: datetime) -> datetime:
    """When a signature of *role* made at *now* ends."""
    return now + life_of(role)


def age_of(role: str, expires: datetime, *, now: datetime) -> RoleAge:
    """The age of *role*'s signature that ends at *expires*; its beginning follows from its full life."""
    left = expires - now
    life = life_of(role)
    used_percent = max(0, (life - left) * 100 // life)
    return RoleAge(name=role, expires=expires, days_left=left.days, used_percent=used_percent)


def check_alive(ages: Iterable[RoleAge]) -> None:
    """Pass roles that engines still accept.

    Raises:
        KeyUnusable: code ``role-expired``.
    """
    for age in ages:
        if age.expired:
            raise KeyUnusable(
                "role-expired",
                f"the signature of {age.name} ended on {format_time(age.expires)}, no engine accepts it any "
                f"more: sign it anew with: engineshed-packages refresh --role {age.name}",
            )
