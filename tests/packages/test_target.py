"""Targets: what was signed is what is read, and what contradicts itself is refused."""

import dataclasses
from datetime import UTC, datetime, timedelta, timezone

import pytest

from engineshed_packages.errors import TargetRefused, VersionUnreadable
from engineshed_packages.jsontext import Json
from engineshed_packages.target import (
    PLATFORMS,
    Target,
    check_channel,
    check_notes_path,
    check_platform,
    check_product,
    host_platform,
    notes_path,
    target_path,
)
from engineshed_packages.versions import Version

SHA256 = "ab" * 32
CUSTOM: dict[str, Json] = {
    "format": 1,
    "product": "sample-engine",
    "version": "3.4.0",
    "platform": "linux-x86_64",
    "channel": "stable",
    "severity": "critical",
    "mode": "manual",
    "min_version": "3.0",
    "floor": "2.9",
    "withdrawn": 1,
    "message": "Please update soon.",
    "notes": "sample-engine/3.4.0/sample-engine-3.4.0-notes.json",
    "manifest_sha256": "cd" * 32,
    "disk_bytes": 42,
    "published": "2026-11-22T08:00:00Z",
}
PATH = "sample-engine/3.4.0/sample-engine-3.4.0-linux-x86_64.zip"


def read(custom: dict[str, Json], path: str = PATH) -> Target:
    return Target.from_custom(path, length_bytes=1000, sha256=SHA256, custom=custom)


def code_of(custom: dict[str, Json], path: str = PATH) -> str:
    with pytest.raises(TargetRefused) as caught:
        read(custom, path)
    return caught.value.code


def test_every_field_is_read() -> None:
    assert read(CUSTOM) == Target(
        path=PATH,
        length_bytes=1000,
        sha256=SHA256,
        product="sample-engine",
        version=Version("3.4.0"),
        platform="linux-x86_64",
        manifest_sha256="cd" * 32,
        disk_bytes=42,
        published=datetime(2026, 11, 22, 8, tzinfo=UTC),
        channel="stable",
        severity="critical",
        mode="manual",
        min_version=Version("3.0"),
        floor=Version("2.9"),
        withdrawn=True,
        message="Please update soon.",
        notes="sample-engine/3.4.0/sample-engine-3.4.0-notes.json",
    )


def test_what_is_read_is_written_again() -> None:
    assert read(CUSTOM).to_custom() == CUSTOM


def test_absent_fields_are_none_and_left_out() -> None:
    custom = {name: CUSTOM[name] for name in CUSTOM if name not in ("min_version", "floor", "notes")}
    target = read(custom)
    assert (target.min_version, target.floor, target.notes) == (None, None, None)
    assert target.to_custom() == custom


def test_unknown_fields_are_kept() -> None:
    custom = CUSTOM | {"delta_from": "3.3.0", "delta_bytes": 7}
    assert read(custom).extra == {"delta_from": "3.3.0", "delta_bytes": 7}
    assert read(custom).to_custom() == custom


@pytest.mark.parametrize("value", [1.5, True, None, ["x"], {"x": 1}])
def test_an_unknown_field_that_is_neither_number_nor_text_is_refused(value: Json) -> None:
    assert code_of(CUSTOM | {"later": value}) == "target-unreadable"


def test_an_unknown_format_is_refused_before_anything_else() -> None:
    assert code_of({"format": 2}) == "target-format-unknown"


@pytest.mark.parametrize("name", ["format", "product", "version", "platform", "published", "manifest_sha256"])
def test_a_missing_field_is_refused(name: str) -> None:
    assert code_of({key: value for key, value in CUSTOM.items() if key != name}) == "target-unreadable"


UNREADABLE: list[tuple[str, Json]] = [
    ("version", "latest"),
    ("version", 3),
    ("min_version", "x"),
    ("floor", "1.0+local"),
    ("withdrawn", 2),
    ("withdrawn", True),
    ("disk_bytes", -1),
    ("disk_bytes", 4.0),
    ("published", "yesterday"),
    ("manifest_sha256", "AB" * 32),
    ("message", "x" * 501),
    ("message", 3),
]


@pytest.mark.parametrize(("name", "value"), UNREADABLE)
def test_a_field_of_the_wrong_kind_is_refused(name: str, value: Json) -> None:
    assert code_of(CUSTOM | {name: value}) == "target-unreadable"


SENSELESS: list[tuple[str, Json, str]] = [
    ("severity", "urgent", "target-field-refused"),
    ("mode", "forced", "target-field-refused"),
    ("min_version", "3.4", "target-field-refused"),
    ("min_version", "4.0", "target-field-refused"),
    ("channel", "Stable", "channel-name"),
    ("platform", "amiga", "platform-unknown"),
    ("product", "root", "product-name"),
    ("product", "other", "target-path-mismatch"),
    ("version", "3.4", "target-path-mismatch"),
    ("platform", "any", "target-path-mismatch"),
    ("notes", "sample-engine/3.4.0/other.json", "target-path-mismatch"),
]


@pytest.mark.parametrize(("name", "value", "code"), SENSELESS)
def test_a_field_that_makes_no_sense_is_refused(name: str, value: Json, code: str) -> None:
    assert code_of(CUSTOM | {name: value}) == code


@pytest.mark.parametrize("path", ["", "../x.zip", PATH + "/", PATH.upper(), "a/" + PATH])
def test_a_path_that_is_not_the_one_of_its_fields_is_refused(path: str) -> None:
    assert code_of(CUSTOM, path) == "target-path-mismatch"


@pytest.mark.parametrize("message", ["a\x1b[2Jb", "two\nlines", "\u202eltr", "x" * 501])
def test_a_message_that_is_not_one_line_of_plain_text_is_not_signed(message: str) -> None:
    with pytest.raises(TargetRefused) as caught:
        dataclasses.replace(read(CUSTOM), message=message)
    assert caught.value.code == "target-field-refused"


def test_control_characters_in_a_signed_message_are_written_out() -> None:
    assert read(CUSTOM | {"message": "a\x1b[2Jb"}).message == "a\\x1b[2Jb"


def test_a_known_field_cannot_be_given_as_an_extra_one() -> None:
    with pytest.raises(TargetRefused) as caught:
        dataclasses.replace(read(CUSTOM), extra={"floor": "9.9"})
    assert caught.value.code == "target-field-refused"


def test_an_empty_package_is_refused() -> None:
    with pytest.raises(TargetRefused) as caught:
        dataclasses.replace(read(CUSTOM), length_bytes=0)
    assert caught.value.code == "target-field-refused"


def test_the_date_of_publishing_is_kept_in_whole_seconds_of_utc() -> None:
    east = timezone(timedelta(hours=2))
    target = dataclasses.replace(read(CUSTOM), published=datetime(2026, 11, 22, 10, 0, 0, 999, tzinfo=east))
    assert target == read(CUSTOM)
    assert target.published.tzinfo is UTC


def test_a_date_without_a_zone_is_a_bug_of_the_caller() -> None:
    with pytest.raises(ValueError, match="aware"):
        dataclasses.replace(read(CUSTOM), published=datetime(2026, 11, 22))


def test_a_target_can_stand_in_a_set() -> None:
    assert len({read(CUSTOM), read(CUSTOM)}) == 1


def test_a_package_for_one_platform_fits_that_one_only() -> None:
    target = read(CUSTOM)
    assert [platform for platform in PLATFORMS if target.fits(platform)] == ["linux-x86_64"]


def test_a_package_for_any_platform_fits_all() -> None:
    path = target_path("sample-engine", Version("3.4.0"), "any")
    target = read(CUSTOM | {"platform": "any"}, path)
    assert [platform for platform in PLATFORMS if target.fits(platform)] == list(PLATFORMS)


def test_the_download_name_has_the_digest_before_the_file_name() -> None:
    assert read(CUSTOM).download_name == f"sample-engine/3.4.0/{SHA256}.sample-engine-3.4.0-linux-x86_64.zip"


def test_the_notes_lie_beside_the_packages() -> None:
    path = notes_path("sample-engine", Version("3.4"))
    assert path == check_notes_path(path) == "sample-engine/3.4/sample-engine-3.4-notes.json"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "sample-engine",
        "sample-engine/3.4",
        "sample-engine/3.4/sample-engine-3.4-any.zip",
        "sample-engine/3.4.0/sample-engine-3.4-notes.json",
        "sample-engine/3.4/other-3.4-notes.json",
        "sample-engine/new/sample-engine-new-notes.json",
        "con/3.4/con-3.4-notes.json",
        "x/sample-engine/3.4/sample-engine-3.4-notes.json",
    ],
)
def test_a_path_of_no_notes_is_refused(path: str) -> None:
    with pytest.raises((TargetRefused, VersionUnreadable)):
        check_notes_path(path)


@pytest.mark.parametrize("product", ["a", "sample-engine", "engine2", "a" * 64])
def test_a_product_name_is_returned(product: str) -> None:
    assert check_product(product) == product


BAD_PRODUCTS = ["", "-a", "a-", "2a", "Sample", "a b", "a/b", "..", "a_b", "é", "a" * 65, "a\n"]
TAKEN_PRODUCTS = ["root", "targets", "snapshot", "timestamp", "online", "con", "nul", "com1", "lpt9"]


@pytest.mark.parametrize("product", BAD_PRODUCTS + TAKEN_PRODUCTS, ids=ascii)
def test_a_name_that_cannot_be_a_folder_and_a_role_is_no_product(product: str) -> None:
    with pytest.raises(TargetRefused) as caught:
        check_product(product)
    assert caught.value.code == "product-name"


def test_a_platform_nobody_builds_for_is_refused() -> None:
    with pytest.raises(TargetRefused) as caught:
        check_platform("linux-riscv64")
    assert caught.value.code == "platform-unknown"


@pytest.mark.parametrize("channel", ["", "Beta", "a b", "-a", "a/b", "a" * 65])
def test_a_channel_with_another_name_is_refused(channel: str) -> None:
    with pytest.raises(TargetRefused) as caught:
        check_channel(channel)
    assert caught.value.code == "channel-name"


def test_this_host_has_a_platform() -> None:
    assert host_platform() in PLATFORMS


@pytest.mark.parametrize(
    ("system", "machine", "expected"),
    [
        ("linux", "x86_64", "linux-x86_64"),
        ("win32", "AMD64", "windows-x86_64"),
        ("linux", "aarch64", "any"),
        ("darwin", "x86_64", "any"),
    ],
)
def test_a_host_takes_its_own_packages_or_those_for_any(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str, expected: str
) -> None:
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert host_platform() == expected
