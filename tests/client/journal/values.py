"""A journal with every field, for tests."""

from datetime import UTC, datetime

from engineshed_client.journal import Goal, Journal, Kind, Origin, State
from engineshed_packages.ids import derived_id
from engineshed_packages.protocol import Step
from engineshed_packages.target import Target, target_path
from engineshed_packages.versions import Version

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
OLD, NEW = Version.parse("1.0.0"), Version.parse("1.1.0")
TARGET = Target(
    path=target_path("sample-engine", NEW, "any"),
    length_bytes=10,
    sha256="ab" * 32,
    product="sample-engine",
    version=NEW,
    platform="any",
    manifest_sha256="cd" * 32,
    disk_bytes=20,
    published=NOW,
    extra={"later": "kept"},
)
JOURNAL = Journal(
    attempt=derived_id("att", "test"),
    kind=Kind.UPDATE,
    state=State.SWAPPING,
    goal=Goal(version=NEW, manifest_sha256="cd" * 32, target=TARGET),
    origin=Origin(version=OLD, manifest_sha256="ef" * 32, problems=("bin/x: missing",)),
    started=NOW,
    writes=7,
    tries=2,
    starts=1,
    returns=1,
    order={"payload": "…", "signatures": []},
    order_id=derived_id("ord", "test"),
    seq=3,
    bundle="/media/bundle.zip",
    was_running=False,
    start_type="automatic",
    previous="engine_20261122",
    code="disk-full",
    message="no room",
    measured="1.0.0",
    steps=(Step(state="DOWNLOADING", at=NOW),),
)
