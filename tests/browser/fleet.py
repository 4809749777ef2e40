"""Engines for pages to show: a fleet of some dozen, with what happens to engines in a year.

Made by the services, as HTTP would; what they say of themselves is written as their polls and reports are.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from engineshed_packages.protocol import Attributes, Outcome, Report, Skipped, Step
from engineshed_packages.versions import Version
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.revisions import ANY_REVISION
from engineshed_server.services import enrolment, fleet
from engineshed_server.services.engine_edits import EngineChange, change_engine
from engineshed_server.services.enrol_tokens import EnrolTerms, create_enrol_token
from engineshed_server.services.ordering import Ask, give_order
from engineshed_server.services.portal import Portal
from engineshed_server.services.reports import record_report
from engineshed_server.wiring import open_portal
from tests.browser.site import Site
from tests.server.portals import enrol_request, poll_of, report_of
from tests.vendor import PRODUCT

ANNA = Actor("user:anna")
FAILED = "plant-07.example"
WAITING = "laptop-of-a-visitor"
_LOG = (
    "2026-11-24 14:02:11 INFO  starting the engine",
    "2026-11-24 14:02:13 WARN  configuration: unknown key ext.threads",
    "2026-11-24 14:02:14 ERROR cannot bind port 8181: address already in use",
    "2026-11-24 14:02:14 INFO  stopped",
)
_UPDATE_LOG = (
    "14:01:40 DOWNLOADING 3.4.0, 8 MB",
    "14:01:58 VERIFIED sha256 as signed",
    "14:02:08 SWAPPED 3.3.0 for 3.4.0",
    "14:02:44 PROBING no answer within 30 s",
    "14:02:45 ROLLING_BACK to 3.3.0",
    "14:03:02 END ROLLED_BACK probe-failed",
)
_STATES = ("DOWNLOADING", "VERIFIED", "STOPPING", "SWAPPED", "PROBING", "ROLLING_BACK", "ROLLED_BACK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An engine: what it runs, when it polled last (None: never), and how its last attempt ended."""

    name: str
    version: str = "3.4.0"
    group: str = "default"
    seen_s: int | None = 20
    outcome: Outcome | None = Outcome.OK
    waits: bool = False
    hold: str = ""
    notes: str = ""


MEMBERS = (
    *(Member(name=f"plant-{number:02}.example", group="plants") for number in range(1, 7)),
    Member(
        name=FAILED,
        version="3.3.0",
        group="plants",
        outcome=Outcome.ROLLED_BACK,
        notes="Behind the boiler. Port 8181 is taken by the old monitoring, ask the plant's IT first.",
    ),
    Member(name="plant-08.example", version="3.3.0", group="plants", seen_s=4 * 3600),
    *(Member(name=f"office-{city}.example", group="offices") for city in ("basel", "lyon", "ulm")),
    Member(
        name="office-oslo.example", version="3.2.0", group="offices", hold="audit of the year until December"
    ),
    Member(name="test-bench", version="3.3.0", group="test", outcome=None),
    Member(name="old-depot.example", version="3.2.0", seen_s=None, outcome=None),
    Member(name=WAITING, version="3.3.0", waits=True, outcome=None),
)


def publish_releases(site: Site) -> None:
    """What the engines run."""
    for version in ("3.2.0", "3.3.0", "3.4.0"):
        site.running.publish(version)


def seed_fleet(site: Site) -> dict[str, str]:
    """Engines and their history, of a portal with releases; the engines' ids by host name."""
    now = datetime.now(UTC).replace(microsecond=0)
    with closing(open_portal(site.running.settings)) as portal:
        ids = {member.name: _join(portal, member, now=now) for member in MEMBERS}
        give_order(
            portal,
            ids["test-bench"],
            Ask(do="restart", message="after the new memory was put in"),
            actor=ANNA,
            now=now,
        )
    return ids


def _join(portal: Portal, member: Member, *, now: datetime) -> str:
    began = now - timedelta(days=40)
    terms = EnrolTerms(group=member.group, needs_approval=member.waits)
    token = create_enrol_token(portal, terms, actor=ANNA, now=began).line.token
    request = replace(enrol_request(token, version=member.version), host_name=member.name)
    engine = enrolment.enrol(portal, request, address="192.0.2.1", now=began).engine
    if member.outcome is not None:
        told = _report(engine, member, ended=now - timedelta(minutes=12 + len(member.name)))
        record_report(portal, engine, report=told, now=told.ended)
    if member.seen_s is not None:
        poll = poll_of(
            engine,
            now=now,
            version=member.version,
            skipped=_skipped(portal) if member.name == FAILED else (),
            attributes=Attributes(
                host_name=member.name, os="Linux 6.1", arch="x86_64", free_disk_bytes=41 * 10**9
            ),
        )
        seen = now - timedelta(seconds=member.seen_s)
        fleet.answer(portal, engine, poll=poll, now=seen, address="192.0.2.17")
        portal.presence.flush(portal.database)
    if member.hold or member.notes:
        change = EngineChange(hold_reason=member.hold, notes=member.notes)
        change_engine(portal, engine, change=change, expected=ANY_REVISION, actor=ANNA, now=now)
    return engine


def _skipped(portal: Portal) -> tuple[Skipped, ...]:
    """The newest release, as one that failed."""
    found = (one.target for one in portal.snapshot.current().candidates[PRODUCT])
    fitting = [target for target in found if target.fits("linux-x86_64")]
    newest = max(fitting, key=lambda target: target.version)
    return (Skipped(version=newest.version, sha256=newest.sha256),)


def _report(engine: str, member: Member, *, ended: datetime) -> Report:
    failed = member.outcome is not Outcome.OK
    states = _STATES if failed else _STATES[:5]
    begun = ended - timedelta(minutes=1)
    return report_of(
        engine,
        now=ended,
        started=begun,
        outcome=member.outcome,
        code="probe-failed" if failed else "ok",
        message="3.4.0 did not answer its probe within 30 s" if failed else "",
        from_version=Version.parse("3.3.0" if failed else "3.2.0"),
        to_version=Version.parse("3.4.0" if failed else member.version),
        version=Version.parse(member.version),
        steps=tuple(Step(state=state, at=begun + timedelta(seconds=9 * i)) for i, state in enumerate(states)),
        update_log=_UPDATE_LOG if failed else (),
        engine_log=_LOG if failed else (),
    )
