"""A portal of its own for each test, and a client that talks to its application in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from engineshed_packages.enrolment import EnrolAnswer, EnrolRequest, TokenAnswer, TokenRequest
from engineshed_packages.protocol import Attributes, Poll
from engineshed_packages.versions import Version
from engineshed_server.app import create_app
from engineshed_server.domain.actors import Actor
from engineshed_server.services import api_tokens
from engineshed_server.services.api_tokens import Scope
from engineshed_server.services.enrol_tokens import EnrolTerms, create_enrol_token
from engineshed_server.services.portal import Portal
from engineshed_server.services.setup import initialise
from engineshed_server.settings import Settings, load_settings
from engineshed_server.wiring import open_portal
from tests.server.databases.sqlite import lay_database
from tests.vendor import PRODUCT, Vendor

UPLOAD_LIMIT_BYTES = 2_000_000


@dataclass
class PortalUnderTest:
    """A portal, its vendor, and requests to it by operators and engines."""

    portal: Portal
    vendor: Vendor
    http: FlaskClient
    engines: dict[str, str] = field(default_factory=dict)  # access token by engine id

    def token(self, scope: Scope = Scope.ADMIN) -> str:
        made = api_tokens.create_api_token(
            self.portal, name="test", scope=scope, actor=Actor("test"), now=datetime.now(UTC)
        )
        return made.secret

    def get(self, path: str, *, token: str | None = None, **headers: str) -> TestResponse:
        return self.http.get(path, headers=_headers(token, headers), buffered=True)

    def post(self, path: str, body: bytes, *, token: str | None = None, **headers: str) -> TestResponse:
        headers.setdefault("Content-Type", "application/json")
        return self.http.post(path, data=body, headers=_headers(token, headers), buffered=True)

    def put_bundle(self, bundle: Path, *, token: str | None = None, name: str = "bundle.zip") -> TestResponse:
        carried = self.token(Scope.SUPPORT) if token is None else token
        path = f"/api/v1/bundles/{name}"
        return self.http.put(path, data=bundle.read_bytes(), headers=_headers(carried, {}), buffered=True)

    def publish(self, version: str) -> None:
        """Lets the vendor release `version` and an operator upload its bundle."""
        self.vendor.release(version)
        answer = self.put_bundle(self.vendor.bundle(version))
        assert answer.status_code == 201, answer.text

    def enrol(self, version: str | None = "1.0.0") -> EnrolAnswer:
        """Joins an engine and gets its first access token, over HTTP."""
        made = create_enrol_token(self.portal, EnrolTerms(), actor=Actor("test"), now=datetime.now(UTC))
        wanted = EnrolRequest(
            token=made.line.token,
            product=PRODUCT,
            platform="linux-x86_64",
            version=None if version is None else Version.parse(version),
            host_name="host-1",
            updater_version="0.1.0",
        )
        answer = EnrolAnswer.from_bytes(self.post("/api/v1/enrol", wanted.to_bytes()).data)
        asked = TokenRequest(engine=answer.engine, secret=answer.secret)
        got = TokenAnswer.from_bytes(self.post("/api/v1/token", asked.to_bytes()).data)
        self.engines[answer.engine] = got.access_token
        return answer


def poll_of(
    engine: str, *, version: str = "1.0.0", seq: int = 0, boot: str = "boot-1", host_name: str | None = None
) -> Poll:
    """What an idle engine's updater asks; with *host_name* it tells about its host."""
    return Poll(
        engine=engine,
        product=PRODUCT,
        platform="linux-x86_64",
        version=Version.parse(version),
        state="IDLE",
        boot=boot,
        clock=datetime.now(UTC),
        updater_version="0.1.0",
        seq=seq,
        attributes=None if host_name is None else Attributes(host_name=host_name),
    )


def _headers(token: str | None, more: dict[str, str]) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return named if token is None else {"Authorization": f"Bearer {token}", **named}


def make_settings(data_dir: Path, **flags: str | int) -> Settings:
    """Settings of a portal in `data_dir`; a flag's name is `section__key`."""
    values: dict[str, str | int] = {
        "portal.data_dir": str(data_dir),
        "limits.upload_bytes": UPLOAD_LIMIT_BYTES,
    }
    values.update({name.replace("__", "."): value for name, value in flags.items()})
    return load_settings(None, {}, flags=values)


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    return Vendor(tmp_path)


@contextmanager
def portal_under_test(folder: Path, vendor: Vendor, **flags: str | int) -> Iterator[PortalUnderTest]:
    """A portal in `folder`, with settings as `make_settings` takes them."""
    settings = make_settings(folder / "data", **flags)
    lay_database(folder / "data")
    initialise(settings, root=vendor.root, now=datetime.now(UTC))
    portal = open_portal(settings)
    with create_app(portal).test_client() as http:
        yield PortalUnderTest(portal, vendor, http)
    portal.close()


@pytest.fixture
def here(tmp_path: Path, vendor: Vendor) -> Iterator[PortalUnderTest]:
    with portal_under_test(tmp_path, vendor) as made:
        yield made
