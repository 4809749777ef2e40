"""A throw-away portal for the server's tests: real database, real files, real keys.

    house = make_portal()                      # the fixture: initialised, trusting a new vendor's root
    house.vendor.release("1.0.0")
    house.ingest("1.0.0")
    engine = house.enrol()
    house.poll(engine, version="0.9")

Everything goes through the services, as HTTP and the command line do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from engineshed_packages.enrolment import EnrolAnswer, EnrolRequest
from engineshed_packages.ids import new_id
from engineshed_packages.jsontext import Json
from engineshed_packages.orders import Order, verify_order
from engineshed_packages.protocol import Health, Outcome, Poll, PollAnswer, Report, Skipped
from engineshed_packages.versions import Version
from engineshed_server.db import audit
from engineshed_server.domain.actors import Actor
from engineshed_server.services import enrolment, fleet
from engineshed_server.services.enrol_tokens import EnrolTerms, create_enrol_token
from engineshed_server.services.ingest import Ingested, ingest_bundle
from engineshed_server.services.portal import Portal
from engineshed_server.services.setup import initialise
from engineshed_server.settings import Settings, load_settings
from engineshed_server.wiring import open_portal
from tests.vendor import PRODUCT, Vendor

ACTOR = Actor("test")


def settings_for(data_dir: Path, **flags: str | int) -> Settings:
    """Settings of a portal in *data_dir*; *flags* by name with ``__`` for the dot."""
    given = {name.replace("__", "."): value for name, value in flags.items()}
    return load_settings(None, {}, flags={"portal.data_dir": str(data_dir), **given})


def nothing(step: str) -> None:
    """Does nothing at a step of the ingest."""


@dataclass
class House:
    """A portal, its vendor, and a clock that only the test moves."""

    portal: Portal
    vendor: Vendor
    now: datetime
    opened: list[Portal] = field(default_factory=list)  # by `reopen`; shared with what it returns

    def tick(self, **units: float) -> datetime:
        """Move the clock on, by a second when nothing is said."""
        self.now += timedelta(**units) if units else timedelta(seconds=1)
        return self.now

    def ingest(self, version: str, *, reached: Callable[[str], None] = nothing) -> Ingested:
        """Bundle the vendor's release with its metadata of now, and ingest it."""
        return self.ingest_file(self.vendor.bundle(version), reached=reached)

    def ingest_file(self, bundle: Path, *, reached: Callable[[str], None] = nothing) -> Ingested:
        """Ingest the bundle at that path."""
        return ingest_bundle(self.portal, bundle, actor=ACTOR, now=self.now, reached=reached)

    def publish(self, version: str) -> Ingested:
        """Release a version and ingest its bundle."""
        self.vendor.release(version)
        return self.ingest(version)

    def enrol(
        self, *, version: str | None = "0.9", platform: str = "linux-x86_64", **terms: object
    ) -> EnrolAnswer:
        """A new engine, by a token on *terms*."""
        request = enrol_request(self.token(**terms), version=version, platform=platform)
        return enrolment.enrol(self.portal, request, address="192.0.2.1", now=self.now)

    def token(self, **terms: object) -> str:
        """An enrolment token on *terms*, as ``EnrolTerms`` names them."""
        wanted = EnrolTerms(**terms)  # type: ignore[arg-type]  # what does not fit fails in the test itself
        return create_enrol_token(self.portal, wanted, actor=ACTOR, now=self.now).line.token

    def poll(self, engine: EnrolAnswer, **changes: object) -> PollAnswer:
        """Poll as *engine*; *changes* as for ``poll_of``."""
        poll = poll_of(engine.engine, now=self.now, **changes)
        return fleet.answer(self.portal, engine.engine, poll=poll, now=self.now)

    def order(self, engine: EnrolAnswer, **changes: object) -> Order:
        """Poll and return the verified order in the answer; fails when there is none."""
        answer = self.poll(engine, **changes)
        assert answer.order is not None, answer
        return verify_order(answer.order, engine.order_keys).order

    def audited(self) -> list[str]:
        """The actions in the audit trail, oldest first."""
        with self.portal.database.read() as session:
            return [record.action for record in audit.list_audit(session)]

    def reopen(self) -> House:
        """The same portal as another process would open it."""
        self.opened.append(open_portal(self.portal.settings))
        return replace(self, portal=self.opened[-1])

    def close(self) -> None:
        """Close this portal and all that were opened beside it; a second time changes nothing."""
        for portal in (self.portal, *self.opened):
            portal.close()


class MakePortal(Protocol):
    """What the fixture ``make_portal`` gives."""

    def __call__(self, *, vendor: Vendor | None = None, folder: Path = ..., **flags: str | int) -> House: ...


def make_portal(folder: Path, *, vendor: Vendor | None = None, **flags: str | int) -> House:
    """Initialise and open a portal below *folder*; what the fixture of that name calls."""
    vendor = vendor or Vendor(folder)
    settings = settings_for(folder / "data", **flags)
    now = datetime.now(UTC).replace(microsecond=0)
    initialise(settings, root=vendor.root, now=now)
    return House(portal=open_portal(settings), vendor=vendor, now=now)


def enrol_request(token: str, *, version: str | None = "0.9", platform: str = "linux-x86_64") -> EnrolRequest:
    """What a host sends to join."""
    return EnrolRequest(
        token=token,
        product=PRODUCT,
        platform=platform,
        version=None if version is None else Version.parse(version),
        host_name="engine-host",
        updater_version="0.1",
    )


def poll_of(engine_id: str, *, now: datetime, **changes: object) -> Poll:
    """A poll of version 0.9; *changes* replace its fields, ``version`` given as a text or None."""
    poll = Poll(
        engine=engine_id,
        product=PRODUCT,
        platform="linux-x86_64",
        version=Version.parse("0.9"),
        state="IDLE",
        boot="boot-1",
        clock=now,
        updater_version="0.1",
        health=Health.GOOD,
    )
    if changes.get("version") is not None:
        changes["version"] = Version.parse(changes["version"])
    # dataclasses.replace takes any field by name; what does not fit fails in the test itself.
    return replace(poll, **changes)  # type: ignore[arg-type]


def skipped(version: str, sha256: str) -> tuple[Skipped, ...]:
    """A skip list of one."""
    return (Skipped(version=Version.parse(version), sha256=sha256),)


def report_of(engine_id: str, *, now: datetime, **changes: object) -> Report:
    """A report of an attempt that went well; *changes* replace its fields."""
    report = Report(
        attempt=new_id("att"),
        engine=engine_id,
        product=PRODUCT,
        outcome=Outcome.OK,
        code="ok",
        message="",
        from_version=Version.parse("0.9"),
        to_version=Version.parse("1.0.0"),
        version=Version.parse("1.0.0"),
        started=now,
        ended=now,
        updater_version="0.1",
    )
    return replace(report, **changes)  # type: ignore[arg-type]  # as in poll_of


def envelope_of(answer: PollAnswer) -> dict[str, Json]:
    """The order's envelope; fails when there is none."""
    assert answer.order is not None, answer
    return dict(answer.order)
