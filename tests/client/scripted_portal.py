"""A portal that answers what a test tells it to: honest by default, hostile on request.

    with ScriptedPortal() as portal:
        portal.publish(vendor)                          # metadata and packages, as the vendor signed them
        portal.answer_polls(portal.no_news())           # or portal.offer(portal.order(target))
        portal.server.at("/api/v1/poll", answers.html())

It signs orders with a key of its own and knows no rule of the real one: the updater under test must hold
whatever comes against what the vendor signed.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from engineshed_packages.enrolment import EnrolAnswer, EnrolLine, TokenAnswer
from engineshed_packages.ids import new_id
from engineshed_packages.jsontext import Json
from engineshed_packages.order_keys import load_order_signer, make_order_key
from engineshed_packages.orders import Order, Package, sign_order
from engineshed_packages.protocol import Poll, PollAnswer, Report, ReportAnswer
from engineshed_packages.target import Target
from tests.faulty_http import FaultyServer, answers
from tests.vendor import Vendor


def now() -> datetime:
    """Whole seconds, as the wire has them."""
    return datetime.now(UTC).replace(microsecond=0)


class ScriptedPortal:
    """A context manager; ``server.requests`` holds what arrived."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.server = FaultyServer(tls=tls)
        self.portal_id = new_id("ptl")
        self.engine_id = new_id("eng")
        self.secret = "engine-secret-of-a-test"
        self.pem, self.key = make_order_key()
        self._seq = 0

    def __enter__(self) -> ScriptedPortal:
        self.server.__enter__()
        self.allow("access-1")
        self.answer_polls(self.no_news())
        self.server.at("/api/v1/reports", answers.json(ReportAnswer(code="recorded").to_bytes()))
        self.server.at("/api/v1/enrol", answers.json(self.credentials.to_bytes()))
        return self

    def __exit__(self, *error: object) -> None:
        self.server.__exit__(*error)

    @property
    def credentials(self) -> EnrolAnswer:
        """What it gives a new engine."""
        return EnrolAnswer(
            portal=self.portal_id,
            engine=self.engine_id,
            secret=self.secret,
            order_keys=(self.key,),
            portals=(self.server.url,),
        )

    @property
    def line(self) -> EnrolLine:
        """The line an admin would paste."""
        return EnrolLine(portal=self.server.url, token="join-once", order_key=self.key.fingerprint)

    def allow(self, *tokens: str, expires_s: int = 1800) -> None:
        """Issue these access tokens, one after the other, the last one for ever."""
        bodies = [TokenAnswer(access_token=token, expires_s=expires_s).to_bytes() for token in tokens]
        self.server.at("/api/v1/token", *(answers.json(body) for body in bodies))

    def publish(self, vendor: Vendor) -> None:
        """Serve the vendor's metadata and packages as they are now."""
        root = vendor.repository.folder
        for path in root.rglob("*"):
            if path.is_file():
                name = path.relative_to(root).as_posix()
                self.server.at(f"/repo/v1/vendor/{name}", answers.file(path.read_bytes()))

    def package_at(self, target: Target) -> str:
        """Where the package of *target* is served."""
        return f"/repo/v1/vendor/targets/{target.download_name}"

    def no_news(self) -> PollAnswer:
        """Nothing to do."""
        return PollAnswer(server_time=now(), code="up-to-date", text="nothing to do", poll_s=1)

    def offer(self, envelope: Mapping[str, Json]) -> PollAnswer:
        """The order *envelope*."""
        return PollAnswer(server_time=now(), code="offer", text="an update", poll_s=1, order=envelope)

    def answer_polls(self, *polls: PollAnswer) -> None:
        """Answer polls by these in turn, then by the last one for ever."""
        self.server.at("/api/v1/poll", *(answers.json(poll.to_bytes()) for poll in polls))

    def order(self, target: Target, **changes: Any) -> dict[str, Json]:
        """A signed order to install *target*; *changes* are attributes of ``Order``, of any type."""
        return self.sign(self.plain_order(target, **changes))

    def plain_order(self, target: Target, **changes: Any) -> Order:
        """As ``order``, not signed."""
        self._seq += 1
        values: dict[str, Any] = {
            "portal": self.portal_id,
            "engine": self.engine_id,
            "id": new_id("ord"),
            "seq": self._seq,
            "issued": now(),
            "accept_before": now() + timedelta(hours=1),
            "do": "install",
            "package": Package(
                path=target.path,
                length_bytes=target.length_bytes,
                sha256=target.sha256,
                version=target.version,
            ),
        }
        return Order(**(values | changes))

    def sign(self, order: Order) -> dict[str, Json]:
        """Wrap *order* in its envelope, signed with this portal's key."""
        return sign_order(order, load_order_signer(self.pem)[0])

    def polls(self) -> list[Poll]:
        """The polls that arrived."""
        return [Poll.from_bytes(one.body) for one in self.server.requests if one.path == "/api/v1/poll"]

    def reports(self) -> list[Report]:
        """The reports that arrived."""
        return [Report.from_bytes(one.body) for one in self.server.requests if one.path == "/api/v1/reports"]
