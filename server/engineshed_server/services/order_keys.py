"""Changing the portal's order keys, without visiting any engine.

``rotate_order_key``: the active key hands over to a new one. ``recover_order_key``: the active key is lost
or stolen; the standby key, brought by the admin, becomes the active one, and a new standby is drawn. Either
makes the next configuration, which each engine is given at its next poll, signed with a key that it knows.

A private key is on disk, durably, before the database says that it counts. Killed in between, nothing has
changed but that a file lies there that nobody needs; the command may be run again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from engineshed_packages.enrolment import OrderKey
from engineshed_packages.files import write_file
from engineshed_packages.order_keys import load_order_signer, make_order_key
from engineshed_server.db import configurations, engines
from engineshed_server.db import portal as portal_rows
from engineshed_server.db.audit import add_audit
from engineshed_server.db.database import Session
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.configurations import Configuration
from engineshed_server.errors import Conflict, NotFound, Refused, SetupRefused, format_boundary
from engineshed_server.services.portal import Portal
from engineshed_server.storage.order_keys import SECRET_MODE

_NAMED = 16  # hexadecimal digits of the keyid in the name of a standby key's file


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysChanged:
    """What came of it.

    Attributes:
        standby_file: where the private part of a new standby key was written, to be taken away; None when
            the standby key is the same as before.
        behind: how many enrolled engines are to be told of it.
    """

    configuration: Configuration
    standby_file: Path | None
    behind: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLine:
    """One order key as operators see it.

    Attributes:
        role: active, standby or former. here: whether its private part is on this portal.
        needed_by: how many enrolled engines can only be spoken to with it.
    """

    fingerprint: str
    role: str
    created: datetime
    here: bool
    needed_by: int


def rotate_order_key(portal: Portal, *, standby_out: Path | None, actor: Actor, now: datetime) -> KeysChanged:
    """Let a new key sign from now on; with *standby_out* a new standby key is drawn as well, into that file.

    Raises:
        Conflict: code ``order-key-changed``: somebody else changed keys in this moment.
        SetupRefused: code ``standby-key-exists``. OSError: a file cannot be written.
    """
    before = portal.configuration
    pem, active = make_order_key()
    portal.keys.add(pem, active)
    standby, path = before.standby, None
    if standby_out is not None:
        standby, path = _new_standby(standby_out)

    def move(session: Session) -> None:
        _move(session, before.active, before=portal_rows.ACTIVE, after=portal_rows.FORMER)
        portal_rows.add_order_key(session, active, role=portal_rows.ACTIVE, now=now)
        if path is not None:
            _move(session, before.standby, before=portal_rows.STANDBY, after=portal_rows.FORMER)
            portal_rows.add_order_key(session, standby, role=portal_rows.STANDBY, now=now)

    after = replace(before, number=before.number + 1, active=active, standby=standby)
    return _change(portal, "order-key-rotated", before, after, move=move, path=path, actor=actor, now=now)


def recover_order_key(
    portal: Portal, *, standby_pem: bytes, standby_out: Path | None, actor: Actor, now: datetime
) -> KeysChanged:
    """Let the standby key sign from now on, and draw a new standby key.

    Args:
        standby_pem: the private standby key. standby_out: where the new one goes; None: into the data folder.

    Raises:
        Refused: code ``standby-key-wrong``. SetupRefused: ``order-key-unreadable``, ``standby-key-exists``.
        Conflict: code ``order-key-changed``. OSError: a file cannot be written.
    """
    before = portal.configuration
    with format_boundary():
        _, brought = load_order_signer(standby_pem)
    if brought != before.standby:
        raise Refused(
            "standby-key-wrong",
            f"the file holds the key {brought.fingerprint}, engines know the standby key "
            f"{before.standby.fingerprint}: bring that one",
        )
    portal.keys.add(standby_pem, brought)
    standby, path = _new_standby(standby_out or portal.folders.data)

    def move(session: Session) -> None:
        _move(session, before.active, before=portal_rows.ACTIVE, after=portal_rows.FORMER)
        _move(session, brought, before=portal_rows.STANDBY, after=portal_rows.ACTIVE)
        portal_rows.add_order_key(session, standby, role=portal_rows.STANDBY, now=now)

    after = replace(before, number=before.number + 1, active=brought, standby=standby)
    return _change(portal, "order-key-recovered", before, after, move=move, path=path, actor=actor, now=now)


def list_order_keys(portal: Portal) -> tuple[KeyLine, ...]:
    """All keys this portal ever had, the oldest first."""
    with portal.database.read() as session:
        found = portal_rows.list_order_keys(session)
        needed = _needed(portal, session)
    return tuple(
        KeyLine(
            fingerprint=one.key.fingerprint,
            role=one.role,
            created=one.created,
            here=portal.keys.find_signer(one.key) is not None,
            needed_by=needed.get(one.key.keyid, 0),
        )
        for one in found
    )


def retire_order_key(portal: Portal, fingerprint: str, *, actor: Actor, now: datetime) -> bool:
    """Remove the private part of a former key from this portal; false when it was not here.

    Raises:
        NotFound: code ``order-key-unknown``.
        Conflict: code ``order-key-needed``: it is not a former one, or engines can only be reached with it.
    """
    with portal.database.write() as session:
        portal_rows.lock_portal(session)
        keys = portal_rows.list_order_keys(session)
        found = next((one for one in keys if one.key.fingerprint == fingerprint), None)
        if found is None:
            raise NotFound("order-key-unknown", f"this portal never had the order key {fingerprint[:80]!r}")
        needed = _needed(portal, session).get(found.key.keyid, 0)
        if found.role != portal_rows.FORMER or needed:
            why = f"{needed} engines know no newer one yet" if needed else f"it is the {found.role} one"
            raise Conflict("order-key-needed", f"the order key {fingerprint} stays: {why}")
        removed = portal.keys.remove(found.key)
        if removed:
            add_audit(session, "order-key-retired", subject=found.key.keyid, actor=actor, now=now)
    return removed


def _needed(portal: Portal, session: Session) -> dict[str, int]:
    """How many enrolled engines can only be spoken to with a key, by its name."""
    counts: dict[str, int] = {}
    for number, engines_there in configurations.count_engines(session, state=engines.ENROLLED).items():
        known = configurations.get_configuration(session, number)
        here = [key for key in known.keys if portal.keys.find_signer(key) is not None]
        if len(here) == 1:
            counts[here[0].keyid] = counts.get(here[0].keyid, 0) + engines_there
    return counts


def _new_standby(place: Path) -> tuple[OrderKey, Path]:
    """Draw a standby key and write its private part into the file, or the folder, *place*."""
    pem, key = make_order_key()
    path = place / f"standby-order-key-{key.keyid[:_NAMED]}.pem" if place.is_dir() else place
    if path.exists():
        raise SetupRefused(
            "standby-key-exists", f"{path} exists: it may be the only copy of a key, name another file"
        )
    write_file(path, pem, mode=SECRET_MODE)
    return key, path


def _move(session: Session, key: OrderKey, *, before: str, after: str) -> None:
    if not portal_rows.move_order_key(session, key, before=before, after=after):
        raise Conflict(
            "order-key-changed", f"the order key {key.fingerprint} is not {before} any more: look, then retry"
        )


def _change(
    portal: Portal,
    action: str,
    before: Configuration,
    after: Configuration,
    *,
    move: Callable[[Session], None],
    path: Path | None,
    actor: Actor,
    now: datetime,
) -> KeysChanged:
    with portal.database.write() as session:
        portal_rows.lock_portal(session)
        move(session)
        configurations.add_configuration(session, after, now=now)
        portal_rows.bump_generation(session)
        add_audit(
            session,
            action,
            subject=portal.identity.portal_id,
            actor=actor,
            now=now,
            before={"order_key": before.active.keyid, "standby_key": before.standby.keyid},
            after={"order_key": after.active.keyid, "standby_key": after.standby.keyid},
        )
        behind = configurations.list_behind(session, current=after.number, state=engines.ENROLLED)
    portal.snapshot.refresh()
    return KeysChanged(configuration=after, standby_file=path, behind=len(behind))
