"""A portal in memory for the steps: it hands out packages and trouble."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from engineshed_client import machine
from engineshed_client.errors import PortalUnavailable
from engineshed_client.journal import Journal
from engineshed_client.machine import Waiting
from engineshed_client.steps.beginning import begin_update
from engineshed_client.steps.context import Gate
from engineshed_packages.ids import derived_id
from engineshed_packages.jsontext import Json
from engineshed_packages.orders import Order
from engineshed_packages.protocol import Outcome
from engineshed_packages.target import Target
from tests.client.host import NOW, FastFs, Host

ORDER_ID = derived_id("ord", "test")
ENVELOPE: dict[str, Json] = {"payload": "…", "signatures": []}


@dataclass
class View:
    """The vendor's metadata, as far as a step looks at it."""

    target: Target | None

    def find(self, path: str) -> Target | None:
        return self.target


@dataclass
class MemoryPortal:
    """Gives *data* from where the part ends, *piece* bytes at most before it breaks off."""

    data: bytes
    view: View
    piece: int | None = None
    knows_ranges: bool = True
    tries: int = 0
    offsets: list[int] = field(default_factory=list)

    def download(self, target: Target, part: Path, *, progress: Callable[[int, int], None]) -> None:
        self.tries += 1
        with FastFs().open_update(part) as file:
            offset = file.seek(0, 2)
            if not self.knows_ranges:
                file.truncate(0)
                offset = file.seek(0)
            self.offsets.append(offset)
            rest = self.data[offset:]
            file.write(rest if self.piece is None else rest[: self.piece])
            progress(min(offset + 1, file.tell()), target.length_bytes)
            progress(file.tell(), target.length_bytes)
        if self.piece is not None and len(rest) > self.piece:
            raise PortalUnavailable("cut", "the portal went away")

    def open_view(self) -> View:
        return self.view


class Ordered:
    """A host that carries out a portal's order."""

    def __init__(self, host: Host, gate: Gate | None = None) -> None:
        self.host = host
        target = host.warehouse.target("1.1.0")
        self.target = target
        self.portal = MemoryPortal(host.warehouse.package("1.1.0").read_bytes(), View(target))
        self.gate = gate

    def parts(self) -> dict[str, object]:
        return {"portal": self.portal, "gate": self.gate}

    def begin(self) -> Journal:
        order = Order(
            portal=derived_id("ptl", "test"),
            engine=derived_id("eng", "test"),
            id=ORDER_ID,
            seq=4,
            issued=NOW,
            accept_before=NOW,
            do="install",
        )
        context = self.host.context(None, **self.parts())
        return begin_update(context, self.target, order=order, envelope=ENVELOPE)

    def run(self, journal: Journal) -> Outcome | Waiting:
        return machine.run(self.host.context(None, **self.parts()), journal)

    def loaded(self) -> Journal:
        found = self.host.context().journals.load()
        assert found is not None
        return found
