"""Makes the golden files from fixed values: the same bytes at every call."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from engineshed_client.journal import Goal, Journal, Kind, Origin, State
from engineshed_client.own import Change, OwnState
from engineshed_client.seen import Seen
from engineshed_packages.builder import build_package
from engineshed_packages.enrolment import (
    EnrolAnswer,
    EnrolLine,
    EnrolRequest,
    OrderKey,
    TokenAnswer,
    TokenRequest,
)
from engineshed_packages.ids import derived_id
from engineshed_packages.metadata.seen import Seen as SeenMetadata
from engineshed_packages.order_keys import load_order_signer
from engineshed_packages.orders import Accepted, Order, Package, Window, sign_order
from engineshed_packages.protocol import (
    Attributes,
    Health,
    Outcome,
    Poll,
    PollAnswer,
    Report,
    ReportAnswer,
    Skipped,
    Step,
)
from engineshed_packages.target import Target, target_path
from engineshed_packages.versions import Version

FOLDER = Path(__file__).parent / "v1"
NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
PRODUCT = "sample-engine"
PORTAL, ENGINE = derived_id("ptl", "golden"), derived_id("eng", "golden")
ORDER, ATTEMPT = derived_id("ord", "golden"), derived_id("att", "golden")
OLD, NEW = Version.parse("1.0.0"), Version.parse("1.1.0")

_PRIVATE = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"golden order key").digest())
ORDER_KEY = OrderKey(public=_PRIVATE.public_key().public_bytes_raw())
STANDBY_KEY = OrderKey(public=hashlib.sha256(b"golden standby key").digest())

TARGET = Target(
    path=target_path(PRODUCT, NEW, "any"),
    length_bytes=4096,
    sha256="ab" * 32,
    product=PRODUCT,
    version=NEW,
    platform="any",
    manifest_sha256="cd" * 32,
    disk_bytes=8192,
    published=NOW,
    severity="recommended",
    min_version=Version.parse("0.9"),
    floor=Version.parse("0.5"),
    message="Brings a faster start.",
)

_DESCRIPTION = """\
product = "sample-engine"
kept = ["conf/", "ext/lib/", "*.config"]
runtime = ["logs/", "data/"]
logs = ["logs/*.log"]

[start]
command = ["{python}", "{engine}/bin/engine.py"]
env = { LANG = "C.UTF-8" }

[stop]
timeout_s = 30

[probe]
url = "http://127.0.0.1:8750/health"
version_pointer = "/version"
"""


def make_package(scratch: Path) -> bytes:
    """A package with a file of each class, built in *scratch*."""
    source = scratch / "source"
    content = {
        "package.toml": _DESCRIPTION,
        "VERSION": "1.1.0\n",
        "bin/engine.py": "print('engine')\n",
        "conf/engine.toml": "port = 8750\n",
        "engine.config": "heap=512m\n",
    }
    for name, text in content.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    (source / "bin" / "engine.py").chmod(0o755)
    return build_package([source], version=NEW, platform="any", output=scratch).path.read_bytes()


def _order() -> Order:
    return Order(
        portal=PORTAL,
        engine=ENGINE,
        id=ORDER,
        seq=7,
        issued=NOW,
        accept_before=NOW + timedelta(days=1),
        start_before=NOW + timedelta(days=2),
        do="install",
        package=Package(path=TARGET.path, length_bytes=4096, sha256=TARGET.sha256, version=NEW),
        window=Window(opens=NOW, closes=NOW + timedelta(hours=6)),
        offline_start=True,
        allow_downgrade=True,
        retry=True,
        next_keys=(ORDER_KEY, STANDBY_KEY),
        next_portals=("https://portal.example",),
        message="Tonight's update",
    )


def make_envelope() -> bytes:
    """A signed order with every claim."""
    pem = _PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return json.dumps(sign_order(_order(), load_order_signer(pem)[0]), indent=1).encode()


def make_poll() -> bytes:
    """A poll with every field."""
    return Poll(
        engine=ENGINE,
        product=PRODUCT,
        platform="linux-x86_64",
        version=OLD,
        state="DOWNLOADING",
        boot="0123456789abcdef",
        clock=NOW,
        updater_version="0.1.0",
        health=Health.GOOD,
        measured_version="1.0.0",
        attempt=ATTEMPT,
        seq=7,
        root_version=2,
        timestamp_version=9,
        trusted_clock=NOW,
        skipped=(Skipped(version=NEW, sha256="ab" * 32),),
        capabilities=("install",),
        attributes=Attributes(
            host_name="host", os="Linux", arch="x86_64", java="17", free_disk_bytes=1, tags={"site": "Lyon"}
        ),
    ).to_bytes()


def make_answer() -> bytes:
    """An answer with an order."""
    return PollAnswer(
        server_time=NOW,
        code="offer",
        text="sample-engine 1.0.0 should become 1.1.0",
        poll_s=60,
        timestamp_version=9,
        order=json.loads(make_envelope()),
    ).to_bytes()


def make_notes() -> bytes:
    """Notes in two languages, as support writes them."""
    said = {"en": {"message": "Back up first.", "notes": "# New\n"}, "pt-BR": {"notes": "# Novo\n"}}
    return json.dumps({"format": 1, "languages": said}, indent=1).encode()


def make_report() -> bytes:
    """A report with every field."""
    return Report(
        attempt=ATTEMPT,
        engine=ENGINE,
        product=PRODUCT,
        outcome=Outcome.ROLLED_BACK,
        code="probe-failed",
        message="the new engine said 1.0.0",
        from_version=OLD,
        to_version=NEW,
        version=OLD,
        measured_version="1.0.0",
        started=NOW,
        ended=NOW + timedelta(minutes=2),
        updater_version="0.1.0",
        probed=True,
        order=ORDER,
        seq=7,
        sha256="ab" * 32,
        steps=(Step(state="PROBING", at=NOW),),
        update_log=("2026-11-22T08:00:00Z BEGIN attempt=x",),
        engine_log=("boom",),
    ).to_bytes()


def make_journal() -> bytes:
    """A journal in the middle of a swap."""
    return Journal(
        attempt=ATTEMPT,
        kind=Kind.UPDATE,
        state=State.SWAPPING,
        goal=Goal(version=NEW, manifest_sha256=TARGET.manifest_sha256, target=TARGET),
        origin=Origin(version=OLD, manifest_sha256="ef" * 32, problems=("bin/engine.py: other content",)),
        started=NOW,
        writes=7,
        tries=1,
        starts=1,
        returns=1,
        order=json.loads(make_envelope()),
        order_id=ORDER,
        seq=7,
        bundle="/media/bundle.zip",
        was_running=True,
        start_type="enabled",
        previous="engine_20261122",
        code="disk-full",
        message="no space left",
        measured="1.0.0",
        steps=(Step(state="SWAPPING", at=NOW),),
    ).to_bytes()


def make_own() -> bytes:
    """A change of the updater's own version under way."""
    return Change(
        attempt=ATTEMPT,
        state=OwnState.SWITCHING,
        origin=OLD,
        goal=NEW,
        sha256=TARGET.sha256,
        order_id=ORDER,
        seq=7,
        started=NOW,
        name="1.0.0",
        previous="0.9.0",
        steps=(Step(state="SWITCHING", at=NOW),),
    ).to_bytes()


def make_seen() -> bytes:
    """A seen.json with every field."""
    return Seen(
        accepted={ORDER_KEY.keyid: Accepted(seq=7, id=ORDER)},
        metadata=SeenMetadata(
            root_version=2, timestamp_version=9, newest_date=NOW, timestamp_keys=("01" * 32,)
        ),
        floors={PRODUCT: Version.parse("0.5")},
        skipped=(Skipped(version=NEW, sha256="ab" * 32),),
    ).to_bytes()


def make_enrolment() -> bytes:
    """The answer to an enrolment, which is also credentials.json."""
    return EnrolAnswer(
        portal=PORTAL,
        engine=ENGINE,
        secret="golden",
        order_keys=(ORDER_KEY, STANDBY_KEY),
        portals=("https://portal.example", "https://portal2.example"),
    ).to_bytes()


def make_line() -> bytes:
    """The line an admin pastes."""
    line = EnrolLine(
        portal="https://portal.example",
        token="golden",
        order_key=ORDER_KEY.fingerprint,
        standby=STANDBY_KEY.fingerprint,
        ca="sha256:" + "0" * 64,
    )
    return line.text().encode()


def make_enrol_request() -> bytes:
    """What an updater asks with."""
    return EnrolRequest(
        token="golden",
        product=PRODUCT,
        platform="linux-x86_64",
        version=OLD,
        host_name="host",
        updater_version="0.1.0",
    ).to_bytes()


MAKERS: Mapping[str, Callable[[], bytes]] = {
    "order.json": make_envelope,
    "poll.json": make_poll,
    "answer.json": make_answer,
    "notes.json": make_notes,
    "report.json": make_report,
    "report-answer.json": lambda: ReportAnswer(code="recorded").to_bytes(),
    "journal.json": make_journal,
    "own.json": make_own,
    "seen.json": make_seen,
    "credentials.json": make_enrolment,
    "enrol-line.txt": make_line,
    "enrol-request.json": make_enrol_request,
    "token-request.json": lambda: TokenRequest(engine=ENGINE, secret="golden").to_bytes(),
    "token-answer.json": lambda: TokenAnswer(access_token="golden", expires_s=1800).to_bytes(),
}
PACKAGE_NAME = "sample-engine-1.1.0-any.zip"
BUNDLE_NAME = "bundle.zip"
ROOT_NAME = "root.json"
