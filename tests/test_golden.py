"""What was once written, signed or sent stays readable, and is still written the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engineshed_client.journal import Journal, State
from engineshed_client.own import Change, OwnState
from engineshed_client.seen import Seen
from engineshed_packages.archive import open_archive
from engineshed_packages.enrolment import (
    EnrolAnswer,
    EnrolLine,
    EnrolRequest,
    OrderKey,
    TokenAnswer,
    TokenRequest,
)
from engineshed_packages.manifest import Manifest
from engineshed_packages.metadata import open_view
from engineshed_packages.notes import Notes
from engineshed_packages.orders import verify_order
from engineshed_packages.protocol import Poll, PollAnswer, Report, ReportAnswer
from engineshed_packages.sources import ZipSource
from tests.golden import files

EVERY_FOLDER = sorted(path for path in files.FOLDER.parent.iterdir() if path.is_dir() and path.name[0] == "v")


@pytest.mark.parametrize("name", sorted(files.MAKERS))
def test_the_same_values_still_give_the_same_bytes(name: str) -> None:
    assert files.MAKERS[name]() == (files.FOLDER / name).read_bytes()


def test_the_same_source_still_gives_the_same_package(tmp_path: Path) -> None:
    assert files.make_package(tmp_path) == (files.FOLDER / files.PACKAGE_NAME).read_bytes()


@pytest.fixture(params=EVERY_FOLDER, ids=lambda folder: folder.name)
def folder(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def test_the_wire_of_every_version_is_read(folder: Path) -> None:
    assert Poll.from_bytes((folder / "poll.json").read_bytes()).engine == files.ENGINE
    assert PollAnswer.from_bytes((folder / "answer.json").read_bytes()).order is not None
    assert Report.from_bytes((folder / "report.json").read_bytes()).attempt == files.ATTEMPT
    assert ReportAnswer.from_bytes((folder / "report-answer.json").read_bytes()).code == "recorded"
    assert EnrolRequest.from_bytes((folder / "enrol-request.json").read_bytes()).token == "golden"
    assert TokenRequest.from_bytes((folder / "token-request.json").read_bytes()).secret == "golden"
    assert TokenAnswer.from_bytes((folder / "token-answer.json").read_bytes()).expires_s == 1800
    assert EnrolLine.parse((folder / "enrol-line.txt").read_text()).token == "golden"


def test_the_order_of_every_version_is_verified(folder: Path) -> None:
    credentials = EnrolAnswer.from_bytes((folder / "credentials.json").read_bytes())
    keys: tuple[OrderKey, ...] = credentials.order_keys
    signed = verify_order(json.loads((folder / "order.json").read_bytes()), keys)
    assert (signed.order.id, signed.order.seq, signed.order.retry) == (files.ORDER, 7, True)


def test_the_updaters_files_of_every_version_are_read(folder: Path) -> None:
    assert Journal.from_bytes((folder / "journal.json").read_bytes()).state is State.SWAPPING
    assert Change.from_bytes((folder / "own.json").read_bytes()).state is OwnState.SWITCHING
    seen = Seen.from_bytes((folder / "seen.json").read_bytes())
    assert (seen.seq, seen.metadata.timestamp_version) == (7, 9)


def _newer(folder: Path, name: str, **more: object) -> bytes:
    """A file as the next version of the updater may write it: with fields that this one does not know."""
    return json.dumps({**json.loads((folder / name).read_bytes()), "later": {"a": 1}, **more}).encode()


def test_what_the_next_version_adds_is_read_and_written_back(folder: Path) -> None:
    journal = Journal.from_bytes(_newer(folder, "journal.json", state="LATER"))
    assert journal.state is State.UNKNOWN  # decided by what lies on the disk
    read = (
        Journal.from_bytes(_newer(folder, "journal.json")).to_bytes(),
        Change.from_bytes(_newer(folder, "own.json")).to_bytes(),
        Seen.from_bytes(_newer(folder, "seen.json")).to_bytes(),
    )
    assert [json.loads(data)["later"] for data in read] == [{"a": 1}] * 3
    assert EnrolAnswer.from_bytes(_newer(folder, "credentials.json")).engine == files.ENGINE


def test_the_package_of_every_version_is_read(folder: Path) -> None:
    with open_archive(folder / files.PACKAGE_NAME) as archive:
        manifest = Manifest.from_bytes(archive.read("MANIFEST.json", max_bytes=65536))
    assert (manifest.product, manifest.version.text) == ("sample-engine", "1.1.0")


def test_the_notes_of_every_version_are_read(folder: Path) -> None:
    notes = Notes.from_bytes((folder / "notes.json").read_bytes())
    assert (notes.languages["en"].message, notes.languages["pt-BR"].notes) == ("Back up first.", "# Novo\n")


def test_the_bundle_of_every_version_is_verified(folder: Path, tmp_path: Path) -> None:
    with open_archive(folder / files.BUNDLE_NAME) as archive:
        view = open_view(
            ZipSource(archive),
            cache=tmp_path / "cache",
            trusted_root=(folder / files.ROOT_NAME).read_bytes(),
            now=files.NOW,
        )
    assert [target.version.text for target in view.targets] == ["1.0.0"]
