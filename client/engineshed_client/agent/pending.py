"""``order.json``: the order under way that is no attempt.

It is saved before anything is done for it and removed once its report waits in the outbox. So an updater that
is killed in between does the rest at its next start, also when the portal cannot be reached then: an engine
that was stopped to be started again is started.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from engineshed_client.errors import DiskTrouble, NewerSchema
from engineshed_client.fsops import FsOps
from engineshed_client.paths import Paths
from engineshed_client.under_way import UnderWayFile
from engineshed_packages.jsontext import Fields, Json, read_object, write_compact
from engineshed_packages.orders import MAX_PAYLOAD_BYTES, Order
from engineshed_packages.times import format_time

SCHEMA = 1
MAX_PENDING_BYTES = 2 * MAX_PAYLOAD_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """An accepted order, and when it was taken up."""

    order: Order
    started: datetime
    extra: Mapping[str, Json] = field(default_factory=dict)

    @classmethod
    def from_bytes(cls, data: bytes) -> Pending:
        """Read the file.

        Raises:
            NewerSchema: a newer updater wrote it.
            PackagesError: it cannot be read.
        """
        fields = Fields(read_object(data, what="order", max_bytes=MAX_PENDING_BYTES), "order")
        schema = fields.integer("schema", low=1)
        if schema > SCHEMA:
            raise NewerSchema("order-newer", f"order.json has schema {schema}, this updater knows {SCHEMA}")
        order = write_compact(fields.object_or_none("order") or {})
        return cls(order=Order.from_bytes(order), started=fields.time("started"), extra=fields.rest())

    def to_bytes(self) -> bytes:
        """The file's content."""
        order = read_object(self.order.to_bytes(), what="order", max_bytes=MAX_PAYLOAD_BYTES)
        known: dict[str, Json] = {"order": order, "started": format_time(self.started)}
        return write_compact({"schema": SCHEMA, **self.extra, **known})


class PendingFile(UnderWayFile[Pending]):
    """``order.json`` on disk; ``load`` raises NewerSchema when a newer updater wrote it."""

    def __init__(self, paths: Paths, fs: FsOps) -> None:
        super().__init__(
            paths.order,
            fs,
            max_bytes=MAX_PENDING_BYTES,
            read=Pending.from_bytes,
            unreadable=partial(DiskTrouble, "order-file-unreadable"),
        )
