"""``order.json``: the order under way that is no attempt.

It is saved before anything is done for it and removed once its report waits in the outbox. So an updater that
is killed in between does the rest at its next start, also when the portal cannot be reached then: an engine
that was stopped to be started again is started.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from engineshed_client.errors import DiskTrouble, NewerSchema, client_boundary
from engineshed_client.fsops import FsOps
from engineshed_client.paths import Paths
from engineshed_packages.errors import FileRefused, PackagesError
from engineshed_packages.files import read_limited
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


class PendingFile:
    """``order.json`` on disk; read and written only under the updater's lock."""

    def __init__(self, paths: Paths, fs: FsOps) -> None:
        self._path = paths.order
        self._fs = fs

    def load(self) -> Pending | None:
        """The order under way, None without one.

        Raises:
            NewerSchema: a newer updater wrote it.
            DiskTrouble: code ``order-file-unreadable``: see ``set_aside``; or it cannot be read.
        """
        try:
            data = read_limited(self._path, MAX_PENDING_BYTES)
        except FileRefused as err:
            if err.code == "file-missing":
                return None
            raise DiskTrouble("disk-error", err.message) from err
        try:
            return Pending.from_bytes(data)
        except (PackagesError, ValueError) as err:
            raise DiskTrouble("order-file-unreadable", f"{self._path} is no order: {err}") from err

    def save(self, pending: Pending) -> None:
        """Replace the file, durably.

        Raises:
            DiskTrouble: it is as it was.
        """
        with client_boundary():
            self._fs.make_folder(self._path.parent, mode=0o700)
            self._fs.write_file(self._path, pending.to_bytes(), mode=0o600)

    def drop(self) -> None:
        """The order is over.

        Raises:
            DiskTrouble: it may still be there.
        """
        with client_boundary():
            self._fs.remove_file(self._path)
            self._fs.sync_folder(self._path.parent)

    def set_aside(self) -> None:
        """Keep an unreadable file as ``order.json.corrupt``, for people.

        Raises:
            DiskTrouble: it may be where it was.
        """
        with client_boundary():
            self._fs.replace(self._path, self._path.with_name(self._path.name + ".corrupt"))
            self._fs.sync_folder(self._path.parent)
