"""Work that goes on by itself: what is to be done, what became of it, and when it is done again."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from engineshed_server.db.models.base import MARIADB, Base
from engineshed_server.db.types import ID_CHARS, NAME_CHARS, BigId, LongText, UtcDateTime


class ScheduleRow(Base):
    """When a kind of job is done by itself; ``next_run`` is NULL while it is off."""

    __tablename__ = "schedules"

    name: Mapped[str] = mapped_column(String(NAME_CHARS), primary_key=True)
    kind: Mapped[str] = mapped_column(String(NAME_CHARS))
    is_on: Mapped[bool] = mapped_column()
    timing: Mapped[str] = mapped_column(String(100))
    zone: Mapped[str] = mapped_column(String(NAME_CHARS))
    node: Mapped[str | None] = mapped_column(String(NAME_CHARS))
    next_run: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    last_run: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revision: Mapped[int] = mapped_column()


class JobRow(Base):
    """One job. ``state`` is one of ``domain.jobs``; ``attempt`` counts claims and guards what workers write.

    ``schedule`` and ``slot`` name the turn it was made for; there is one job for each, whoever makes it.
    """

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(String(ID_CHARS), primary_key=True)
    kind: Mapped[str] = mapped_column(String(NAME_CHARS))
    arguments: Mapped[str] = mapped_column(LongText)
    requested_by: Mapped[str] = mapped_column(String(200))
    node: Mapped[str | None] = mapped_column(String(NAME_CHARS))
    state: Mapped[str] = mapped_column(String(16))
    not_before: Mapped[datetime] = mapped_column(UtcDateTime)
    attempt: Mapped[int] = mapped_column()
    worker: Mapped[str | None] = mapped_column(String(200))
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cancel_asked: Mapped[datetime | None] = mapped_column(UtcDateTime)
    progress: Mapped[int] = mapped_column()
    error_code: Mapped[str | None] = mapped_column(String(NAME_CHARS))
    error: Mapped[str | None] = mapped_column(String(1000))
    created: Mapped[datetime] = mapped_column(UtcDateTime)
    started: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended: Mapped[datetime | None] = mapped_column(UtcDateTime)
    schedule: Mapped[str | None] = mapped_column(String(NAME_CHARS))
    slot: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        UniqueConstraint("schedule", "slot"),
        Index(None, "state", "not_before"),
        Index(None, "created", "id"),
        MARIADB,
    )


class JobLineRow(Base):
    """A line that a job wrote."""

    __tablename__ = "job_lines"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), index=True)
    written: Mapped[datetime] = mapped_column(UtcDateTime)
    level: Mapped[str] = mapped_column(String(16))
    text: Mapped[str] = mapped_column(String(500))
