"""From verified and stored to public: rows, metadata, rows again; and what a kill in between leaves.

The order, and why it is this one:

1. *record*: one transaction writes the packages' rows as ``arriving``, and those of the notes. Their bytes
   are durable already. Nobody is offered them, no list shows them, but they can be downloaded.
2. *metadata*: all immutable files, then new roots, then ``timestamp.json`` by rename. Whoever reads the
   new set from now on finds every package in it that this portal holds.
3. *publish*: one transaction turns every listed package ``published``, takes over changed terms, hides
   what is no longer listed, remembers what was verified, writes the audit and bumps the generation.
   Only now do polls see candidates, so an order is never issued for a release whose bytes or metadata
   an engine could not fetch and verify.
4. *trust*: the verified set becomes what the next bundle is verified against.

Had the rows become candidates before the metadata, a kill in between would have left orders that engines
refuse. Had the metadata come before any row, it would have left packages in public metadata that answer
404. A kill between any two steps leaves a portal that is consistent for engines, and everything after it
happens at the next upload of the same bundle; what only step 3 or 4 lacked, at the next start or ingest.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import datetime

from engineshed_packages.errors import Refused
from engineshed_packages.metadata import View, verify_view
from engineshed_packages.metadata.cache import TIMESTAMP, MetadataCache
from engineshed_packages.metadata.seen import Seen
from engineshed_packages.sources import FolderSource
from engineshed_packages.target import Target
from engineshed_server.db import portal as portal_rows
from engineshed_server.db import releases, trust
from engineshed_server.db.audit import Details, add_audit
from engineshed_server.db.database import Session
from engineshed_server.domain.actors import Actor
from engineshed_server.errors import TryLater
from engineshed_server.services.portal import Portal
from engineshed_server.services.storing import Stored
from engineshed_server.storage.published import newest_root

logger = logging.getLogger(__name__)

HEALER = Actor("recovery")  # the actor in audit rows of what a killed ingest had left to do


def seen_so_far(portal: Portal) -> Seen | None:
    """The newest that was ever verified, None before the first bundle.

    When its row is damaged, the trusted set on disk alone guards against an older one; the ingest at hand
    writes the row anew.

    Raises:
        TryLater: code ``trust-unreadable``: the row is damaged, and the trusted set is gone too.
    """
    try:
        with portal.database.read() as session:
            known = trust.find_repository(session, portal.repository)
    except TryLater as err:
        if err.code != "trust-unreadable" or not (portal.folders.trust / "metadata" / TIMESTAMP).is_file():
            raise
        logger.error("stored trust unreadable, the trusted set is used", extra={"reason": err.message})
        return None
    return None if known is None else known.seen


def record(portal: Portal, stored: Stored, *, actor: Actor, now: datetime) -> None:
    """Step 1: write the rows of new packages and notes."""
    if not stored.packages and not stored.notes:
        return
    with portal.database.write() as session:
        for package in stored.packages:
            target = package.target
            releases.add_package(session, target, sha1=package.sha1, now=now)
            details: Details = {"sha256": target.sha256, "length": target.length_bytes}
            add_audit(session, "package-stored", subject=target.path, actor=actor, now=now, details=details)
        for notes in stored.notes:
            releases.add_notes(session, notes, now=now)
            details = {"sha256": notes.sha256, "length": notes.length_bytes}
            add_audit(session, "notes-stored", subject=notes.path, actor=actor, now=now, details=details)


def publish(
    portal: Portal, view: View, *, actor: Actor, now: datetime, reached: Callable[[str], None]
) -> tuple[Target, ...]:
    """Steps 2 to 4; each may have been done before. Returns the packages that became visible."""
    portal.metadata.write_immutable(view.files)
    reached("metadata-written")
    portal.metadata.write_timestamp(view.files)
    reached("timestamp-written")
    with portal.database.write() as session:
        visible = _publish_rows(session, portal.repository, view=view, actor=actor, now=now)
    portal.snapshot.refresh()
    reached("published")
    MetadataCache(portal.folders.trust).keep(view.files)
    reached("trusted")
    return visible


def heal(portal: Portal, *, now: datetime, reached: Callable[[str], None]) -> tuple[Target, ...]:
    """Finish what a kill after step 2 left; the ingest lock is held. Returns what became visible.

    The published set is then newer than the trusted one, and must become trusted before any other bundle
    is looked at: one between the two would else take the public metadata back.
    """
    public = portal.metadata.timestamp()
    trusted = portal.folders.trust / "metadata" / TIMESTAMP
    if trusted.is_file() and trusted.read_bytes() == public:
        # Killed between a root with other keys and the timestamp they sign: no engine takes the one before.
        portal.metadata.take_roots_back(newest_root(trusted.parent))
        return ()
    if public is None:
        return ()
    try:
        view = verify_view(
            FolderSource(portal.metadata.folder.parent),
            cache=portal.folders.trust,
            trusted_root=portal.identity.root,
            now=now,
            seen=seen_so_far(portal),
        )
    except Refused as err:
        # Expired meanwhile, or not ours: it is left as it is, and the bundle at hand decides.
        logger.warning("published metadata cannot be trusted", extra={"code": err.code})
        return ()
    return publish(portal, view, actor=HEALER, now=now, reached=reached)


def _publish_rows(
    session: Session, repository: str, *, view: View, actor: Actor, now: datetime
) -> tuple[Target, ...]:
    listed = {target.path: target for target in view.targets}
    visible: list[Target] = []
    changes = 0
    for known in releases.list_packages(session):
        target = listed.get(known.target.path)
        action = _update_package(session, known, target=target, now=now)
        if action is None:
            continue
        changes += 1
        terms: Details = {} if target is None else {"terms": json.dumps(target.to_custom(), sort_keys=True)}
        add_audit(session, action, subject=known.target.path, actor=actor, now=now, details=terms)
        if target is not None and action == "package-published":
            visible.append(target)
    for product, speakers in sorted(view.speakers.items(), key=lambda one: one[0]):
        if trust.write_speakers(session, product, speakers=speakers):
            # Whoever stole the earlier key could have raised the floor above every release to come.
            trust.forget_floor(session, product)
            _drop_notes_not_listed(session, product, view=view)
            changes += 1
            named: Details = {"keys": ", ".join(speakers.keyids)}
            add_audit(session, "product-keys-changed", subject=product, actor=actor, now=now, details=named)
        floor = view.floor(product)
        if floor is not None and trust.raise_floor(session, product, version=floor):
            changes += 1
            raised: Details = {"floor": floor.text}
            add_audit(session, "floor-raised", subject=product, actor=actor, now=now, details=raised)
    # An expired role of one product was left out of the view and must not stop the others.
    expires = min(role.expires for role in view.roles if role.name not in view.unusable)
    verified = trust.RepositoryRecord(name=repository, seen=view.seen, expires=expires)
    if trust.write_repository(session, verified):
        changes += 1
        versions: Details = {"timestamp": view.timestamp_version, "root": view.root_version}
        add_audit(session, "metadata-published", subject=repository, actor=actor, now=now, details=versions)
    if changes:
        portal_rows.bump_generation(session)
    return tuple(visible)


def _drop_notes_not_listed(session: Session, product: str, *, view: View) -> None:
    """Notes have no state: those that only the earlier key has signed would bar the vendor's own."""
    for path, known in releases.list_notes(session).items():
        if path.partition("/")[0] == product and view.notes.get(path) != known:
            releases.drop_notes(session, known)


def _update_package(
    session: Session, known: releases.PackageRecord, *, target: Target | None, now: datetime
) -> str | None:
    """Bring one row to what the metadata says now; the audit's action, None when nothing changed."""
    if target is None or target.sha256 != known.target.sha256:
        return "package-delisted" if releases.delist_package(session, known) else None
    if known.state == releases.PUBLISHED:
        return "package-terms-changed" if releases.change_terms(session, known, target=target) else None
    return "package-published" if releases.publish_package(session, known, target=target, now=now) else None
