"""The addresses by which engines reach this portal: given to each by a signed order.

An engine keeps the addresses from before until one of the new ones has answered it. So the old name must go
on working until every engine has polled under a new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from engineshed_packages.enrolment import MAX_PORTALS, check_portal_url
from engineshed_server.db import configurations, engines
from engineshed_server.db import portal as portal_rows
from engineshed_server.db.audit import add_audit
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.configurations import Configuration
from engineshed_server.domain.revisions import ANY_REVISION, Expected
from engineshed_server.errors import Refused, SetupRefused, format_boundary
from engineshed_server.services.portal import Portal
from engineshed_server.services.racing import run_again_when_raced


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """What engines are to know of this portal, and how far that has got.

    Attributes:
        number: of the configuration. portals: the addresses, tried in order.
        order_key, standby_key: fingerprints of both keys.
        engines: how many are enrolled. behind: how many of them do not know all of this yet.
    """

    number: int
    portals: tuple[str, ...]
    order_key: str
    standby_key: str
    engines: int
    behind: int


def show_addresses(portal: Portal) -> Addresses:
    """What engines are to know by now."""
    with portal.database.read() as session:
        current = configurations.find_current(session)
        counts = configurations.count_engines(session, state=engines.ENROLLED)
    if current is None:
        raise SetupRefused(
            "setup-missing", "the database holds no portal: run `engineshed-server init` first"
        )
    return Addresses(
        number=current.number,
        portals=current.addresses(portal.settings.public_url),
        order_key=current.active.fingerprint,
        standby_key=current.standby.fingerprint,
        engines=sum(counts.values()),
        behind=sum(count for number, count in counts.items() if number != current.number),
    )


def set_portals(
    portal: Portal,
    urls: Sequence[str],
    *,
    actor: Actor,
    now: datetime,
    expected: Expected = ANY_REVISION,
) -> bool:
    """Give every engine these addresses, tried in this order; false when they have them already.

    Raises:
        Refused: codes ``portal-url``, ``portals-refused``. Outdated: code ``revision-outdated``.
    """
    with format_boundary():
        wanted = tuple(check_portal_url(url) for url in urls)
    if not 1 <= len(wanted) <= MAX_PORTALS or len(set(wanted)) != len(wanted):
        raise Refused(
            "portals-refused", f"found {len(wanted)} addresses, expected 1 to {MAX_PORTALS}, each once"
        )
    changed = run_again_when_raced(lambda: _set(portal, wanted, actor=actor, now=now, expected=expected))
    portal.snapshot.refresh()
    return changed


def _set(portal: Portal, wanted: tuple[str, ...], *, actor: Actor, now: datetime, expected: Expected) -> bool:
    with portal.database.write() as session:
        portal_rows.lock_portal(session)
        before = configurations.find_current(session)
        assert before is not None  # the portal is open
        expected.check(before.number, what="the configuration of engines")
        if before.portals == wanted:
            return False
        after: Configuration = replace(before, number=before.number + 1, portals=wanted)
        configurations.add_configuration(session, after, now=now)
        portal_rows.bump_generation(session)
        known = before.addresses(portal.settings.public_url)
        add_audit(
            session,
            "portals-set",
            subject=portal.identity.portal_id,
            actor=actor,
            now=now,
            before={"portals": " ".join(known)},
            after={"portals": " ".join(wanted)},
        )
    return True
