"""Links that make an owner, once: at most one at a time."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.orm import Session

from engineshed_server.db.guard import changed_rows
from engineshed_server.db.models import OwnerLinkRow


def replace_owner_link(session: Session, token_hash: str, *, now: datetime, expires: datetime) -> None:
    """Write a new link; earlier ones are good for nothing any more."""
    changed_rows(session, delete(OwnerLinkRow))
    session.add(OwnerLinkRow(token_hash=token_hash, created=now, expires=expires))


def is_good_owner_link(session: Session, token_hash: str, *, now: datetime) -> bool:
    """Whether the link could be used now."""
    row = session.get(OwnerLinkRow, token_hash)
    return row is not None and row.expires > now


def consume_owner_link(session: Session, token_hash: str, *, now: datetime) -> bool:
    """Use the link up; false when it was used, replaced, is over or never was."""
    statement = delete(OwnerLinkRow).where(OwnerLinkRow.token_hash == token_hash, OwnerLinkRow.expires > now)
    return changed_rows(session, statement) == 1
