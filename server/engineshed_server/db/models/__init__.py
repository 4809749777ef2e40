"""The tables. Only ``db`` sees these classes; what leaves ``db`` are records.

Rules: every text has a length (MariaDB); times are ``UtcDateTime``; a state is a text changed by a
guarded UPDATE; nothing is deleted that an audit row speaks of; additive migrations only.
"""

from __future__ import annotations

from engineshed_server.db.models.base import Base
from engineshed_server.db.models.engines import (
    ChannelRow,
    EngineRow,
    EnrolTokenRow,
    GroupRow,
    OrderRow,
    PresenceRow,
    ReportRow,
)
from engineshed_server.db.models.jobs import JobLineRow, JobRow, ScheduleRow
from engineshed_server.db.models.people import (
    ApiTokenRow,
    IdempotencyRow,
    OwnerLinkRow,
    SessionRow,
    ThrottleRow,
    UserRow,
)
from engineshed_server.db.models.portal import AuditRow, ConfigurationRow, OrderKeyRow, PortalRow, StopRow
from engineshed_server.db.models.releases import (
    FloorRow,
    NotesRow,
    PackageRow,
    ReleaseRow,
    RepositoryRow,
    SpeakerRow,
    UploadRow,
)

__all__ = [
    "ApiTokenRow",
    "AuditRow",
    "Base",
    "ChannelRow",
    "ConfigurationRow",
    "EngineRow",
    "EnrolTokenRow",
    "FloorRow",
    "GroupRow",
    "IdempotencyRow",
    "JobLineRow",
    "JobRow",
    "NotesRow",
    "OrderKeyRow",
    "OrderRow",
    "OwnerLinkRow",
    "PackageRow",
    "PortalRow",
    "PresenceRow",
    "ReleaseRow",
    "ReportRow",
    "RepositoryRow",
    "ScheduleRow",
    "SessionRow",
    "SpeakerRow",
    "StopRow",
    "ThrottleRow",
    "UploadRow",
    "UserRow",
]
