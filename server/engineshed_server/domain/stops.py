"""Emergency stops: while one is on, no order changes the software of the engines it covers.

A stop names a product, a channel, both, or neither and then covers everything. It holds back what installs
or takes back software, automatic or ordered by hand; it leaves alone what an administrator may need in an
emergency: to start, stop or restart an engine, to cancel an order, to give engines new order keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

EMERGENCY_STOP = "emergency-stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A stop that is on.

    Attributes:
        product, channel: what it covers; None is all of them.
        reason: what the one who gave it says.
    """

    product: str | None
    channel: str | None
    reason: str

    @property
    def scope(self) -> str:
        """What it covers, in words."""
        product = "all products" if self.product is None else self.product
        return product if self.channel is None else f"channel {self.channel} of {product}"

    def covers(self, product: str, channels: Iterable[str]) -> bool:
        """Whether it holds back *product* in any of *channels*: the engine's own, or the release's."""
        return self.product in (None, product) and (self.channel is None or self.channel in channels)

    @property
    def text(self) -> str:
        """What an engine's answer and ``engine explain`` say."""
        return f"an emergency stop is on for {self.scope}: {self.reason}"


def find_stop(stops: Iterable[Stop], product: str, *, channels: Iterable[str]) -> Stop | None:
    """The first of *stops* that covers *product* in any of *channels*."""
    wanted = frozenset(channels)
    return next((stop for stop in stops if stop.covers(product, wanted)), None)
