"""Lists of engines as people ask for them: which are wanted, in which order, which page."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Show(StrEnum):
    """Which engines are shown; all but the last three are enrolled."""

    ONLINE = "online"
    LATE = "late"
    BEHIND = "behind"
    FAILED = "failed"
    HELD = "held"
    WAITING = "waiting"
    REJECTED = "rejected"
    REVOKED = "revoked"


class Sort(StrEnum):
    """What a list is ordered by."""

    HOST = "host"
    PRODUCT = "product"
    VERSION = "version"
    GROUP = "group"
    CHANNEL = "channel"
    SEEN = "seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSearch:
    """Which engines are wanted; None: whichever.

    Attributes:
        text: stands in the host's name, the id, the address or the notes, in whatever case.
        down: from the last to the first. page: counts from 1.
    """

    text: str | None = None
    show: Show | None = None
    product: str | None = None
    version: str | None = None
    group: str | None = None
    channel: str | None = None
    sort: Sort = Sort.HOST
    down: bool = False
    page: int = 1

    @property
    def is_everything(self) -> bool:
        """Whether every engine is wanted."""
        asked = (self.text, self.show, self.product, self.version, self.group, self.channel)
        return all(one is None for one in asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Engines of which the same release is the newest."""

    product: str
    platform: str
    channel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """How many engines of a kind run a version.

    Attributes:
        version: None before the engine has said one, or when none is installed.
        state: ``enrolled``, ``waiting``, ``rejected`` or ``revoked``.
        online: of ``engines``, those heard of lately.
    """

    kind: Kind
    version: str | None
    state: str
    engines: int
    online: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """Versions of a kind of engine that are older than the newest for it."""

    kind: Kind
    versions: tuple[str | None, ...]
