"""The command `engineshed-server` in this process, with a portal of its own."""

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engineshed_packages import exits
from engineshed_packages.enrolment import EnrolLine, EnrolRequest
from engineshed_packages.repository.releases import ReleaseTerms
from engineshed_packages.versions import Version
from engineshed_server.cli import main
from engineshed_server.domain.actors import Actor
from engineshed_server.services.enrolment import enrol
from engineshed_server.services.ingest import ingest_bundle
from engineshed_server.services.reports import record_report
from engineshed_server.settings import load_settings
from engineshed_server.wiring import open_portal
from tests.server.databases.sqlite import lay_database
from tests.server.portals import poll_of, report_of
from tests.vendor import PRODUCT, Vendor


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def values(self) -> dict[str, Any]:  # what --json printed, to be compared with literals
        found: dict[str, Any] = json.loads(self.out)
        return found


Command = Callable[..., Said]


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Runs the command with the configuration file of the test."""
    monkeypatch.setenv("ENGINESHED_CONFIG", str(tmp_path / "portal.toml"))
    (tmp_path / "portal.toml").write_text(f'[portal]\ndata_dir = "{tmp_path / "data"}"\n', "utf-8")

    def run(*words: str | Path) -> Said:
        capfd.readouterr()
        code = main([str(word) for word in words])
        said = capfd.readouterr()
        return Said(code, said.out, said.err)

    return run


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    return Vendor(tmp_path)


@pytest.fixture
def portal(command: Command, vendor: Vendor, tmp_path: Path) -> Command:
    """The command, once `init` has made a portal."""
    lay_database(tmp_path / "data")
    assert command("init", "--root", vendor.root_file).code == exits.DONE
    return command


def publish(folder: Path, vendor: Vendor, version: str, *, terms: ReleaseTerms | None = None) -> None:
    """Releases `version` and takes its bundle in, without HTTP."""
    vendor.release(version, terms=terms)
    with closing(open_portal(load_settings(folder / "portal.toml", {}))) as opened:
        ingest_bundle(opened, vendor.bundle(version), actor=Actor("test"), now=datetime.now(UTC))


def join(folder: Path, line: str, *, host_name: str = "host-1") -> str:
    """Joins an engine with 1.0.0 by the line that `enrol-token create` printed; its id."""
    wanted = EnrolRequest(
        token=EnrolLine.parse(line).token,
        product=PRODUCT,
        platform="linux-x86_64",
        version=Version.parse("1.0.0"),
        host_name=host_name,
        updater_version="0.1.0",
    )
    with closing(open_portal(load_settings(folder / "portal.toml", {}))) as opened:
        return enrol(opened, wanted, address="127.0.0.1", now=datetime.now(UTC)).engine


def poll_from(folder: Path, engine: str, *, boots: str) -> None:
    """Polls as an idle engine, a minute apart, each time with the next letter as the updater's nonce."""
    with closing(open_portal(load_settings(folder / "portal.toml", {}))) as opened:
        for number, boot in enumerate(boots):
            at = datetime.now(UTC) + timedelta(minutes=number)
            opened.presence.note(poll_of(engine, now=at, boot=boot), now=at)
            opened.presence.flush(opened.database)


def report_from(folder: Path, engine: str, **changes: object) -> None:
    """Reports an attempt of the engine; *changes* as for `report_of`."""
    now = datetime.now(UTC)
    with closing(open_portal(load_settings(folder / "portal.toml", {}))) as opened:
        record_report(opened, engine, report=report_of(engine, now=now, **changes), now=now)
