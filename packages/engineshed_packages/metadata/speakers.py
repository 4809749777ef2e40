"""Whose word a product's releases are: the keys that sign them, and which metadata named those.

What a key has said counts while it speaks. Parties remember with the highest floor of a product who signed
it; under other keys it starts anew, because a thief of the earlier ones could have raised it above every
release to come. Only newer metadata may name others: an older set, replayed, takes nothing back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engineshed_packages.errors import ProtocolRefused
from engineshed_packages.jsontext import Fields, Json
from engineshed_packages.metadata.seen import MAX_KEYID_CHARS, MAX_VERSION

MAX_SPEAKERS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Speakers:
    """The keys of one product's role.

    Attributes:
        keyids: sorted.
        named_by: the version of the role that names them.
    """

    keyids: tuple[str, ...]
    named_by: int

    def replace(self, before: Speakers | None) -> bool:
        """Whether these are other keys than *before*, named later."""
        return before is not None and self.named_by > before.named_by and self.keyids != before.keyids

    def newest(self, before: Speakers | None) -> Speakers:
        """These or *before*, whoever was named later."""
        return self if before is None or self.named_by > before.named_by else before

    @classmethod
    def from_dict(cls, values: Mapping[str, Json]) -> Speakers:
        """Read what ``to_dict`` wrote.

        Raises:
            ProtocolRefused: code ``speakers-unreadable``.
        """
        fields = Fields(values, "speakers", refusal=ProtocolRefused)
        return cls(
            keyids=fields.texts("keyids", max_items=MAX_SPEAKERS, max_chars=MAX_KEYID_CHARS),
            named_by=fields.integer("named_by", low=1, high=MAX_VERSION),
        )

    def to_dict(self) -> dict[str, Json]:
        """JSON values."""
        return {"keyids": list(self.keyids), "named_by": self.named_by}
