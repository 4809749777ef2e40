"""Manifests: one form in bytes, and a class for every file without doubt."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from typing import Any  # for fields of any type, given by name

import pytest

from engineshed_packages.errors import ManifestRefused
from engineshed_packages.jsontext import Json
from engineshed_packages.manifest import MANIFEST_NAME, FileClass, Manifest, check_pattern
from tests.packages.manifests import FILES, MANIFEST

AS_DICT: dict[str, Json] = json.loads(MANIFEST.to_bytes())


def code_of(action: Callable[[], object]) -> str:
    with pytest.raises(ManifestRefused) as caught:
        action()
    return caught.value.code


def refused(values: dict[str, Json]) -> str:
    return code_of(lambda: Manifest.from_dict(values))


# The form in bytes


def test_a_manifest_is_written_as_the_format_says() -> None:
    assert MANIFEST.to_bytes().decode().splitlines()[:10] == [
        "{",
        ' "files": [',
        "  {",
        '   "class": "shipped",',
        '   "mode": "0755",',
        '   "path": "bin/engine.py",',
        f'   "sha256": "{MANIFEST.files[0].sha256}",',
        '   "size": 8',
        "  },",
        "  {",
    ]
    assert AS_DICT.keys() == {
        *("format", "product", "version", "platform", "files", "kept", "runtime"),
        *("start", "stop", "probe", "logs", "needs"),
    }
    assert AS_DICT["stop"] == {"command": None, "timeout_s": 10}
    assert MANIFEST.to_bytes().endswith(b"\n}\n")


def test_what_is_written_is_read() -> None:
    assert Manifest.from_bytes(MANIFEST.to_bytes()) == MANIFEST


def test_the_digest_is_the_one_of_the_bytes() -> None:
    assert MANIFEST.sha256 == hashlib.sha256(MANIFEST.to_bytes()).hexdigest()


def test_unknown_fields_are_kept_at_every_level() -> None:
    values: dict[str, Json] = json.loads(MANIFEST.to_bytes())
    values["hooks"] = {"after": ["x"]}
    for name in ("start", "stop", "probe"):
        inner = values[name]
        assert isinstance(inner, dict)
        inner["later"] = [1, "two"]
    files = values["files"]
    assert isinstance(files, list)
    assert isinstance(files[0], dict)
    files[0]["owner"] = "engine"
    data = (json.dumps(values, sort_keys=True, indent=1) + "\n").encode()
    assert Manifest.from_bytes(data).to_bytes() == data


@pytest.mark.parametrize(
    "form",
    [
        lambda values: json.dumps(values, sort_keys=True, indent=1),
        lambda values: json.dumps(values, sort_keys=True) + "\n",
        lambda values: json.dumps(dict(reversed(values.items())), indent=1) + "\n",
    ],
    ids=["no line end", "no indent", "another order"],
)
def test_another_form_of_the_same_manifest_is_refused(form: Callable[[dict[str, Json]], str]) -> None:
    assert code_of(lambda: Manifest.from_bytes(form(AS_DICT).encode())) == "manifest-not-canonical"


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"\xff", b'{"a":1,"a":1}', b'{"format": NaN}', b"[" * 100_000], ids=range(7)
)
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    assert code_of(lambda: Manifest.from_bytes(data)) == "manifest-unreadable"


def test_an_unknown_format_is_refused_before_anything_else() -> None:
    assert refused({"format": 2}) == "manifest-format-unknown"


def test_an_unknown_need_is_refused() -> None:
    assert refused(AS_DICT | {"needs": ["hooks"]}) == "manifest-needs-unknown"


UNREADABLE: list[tuple[str, Json]] = [
    ("product", "Root"),
    ("product", None),
    ("version", "latest"),
    ("platform", "amiga"),
    ("files", {}),
    ("files", ["a"]),
    ("kept", "conf/"),
    ("kept", [1]),
    ("start", None),
    ("start", {"command": []}),
    ("start", {"command": [""]}),
    ("start", {"command": "run me"}),
    ("start", {"command": ["a"], "env": {"A": 1}}),
    ("start", {"command": ["a"], "env": {"A=B": "1"}}),
    ("stop", {"command": []}),
    ("stop", {"timeout_s": 0}),
    ("stop", {"timeout_s": 1.5}),
    ("probe", None),
    ("probe", {"url": "http://a/", "tcp": "a:1"}),
    ("probe", {"url": "file:///etc/passwd"}),
    ("probe", {"tcp": "nowhere"}),
    ("probe", {"tcp": "a:99999"}),
    ("probe", {"tcp": "a:1", "version_pointer": "/version"}),
    ("probe", {"command": []}),
    ("probe", {"url": "http://a/", "version_regex": "("}),
    ("probe", {"url": "http://a/", "version_regex": "no group"}),
    ("probe", {"url": "http://a/", "version_pointer": "version"}),
    ("probe", {"url": "http://a/", "version_pointer": "/v", "version_regex": "(v)"}),
    ("probe", {"url": "http://a/", "good_ticks": 5, "max_ticks": 4}),
    ("probe", {"url": "http://a/", "good_ticks": 0}),
    ("probe", {"url": "http://a/", "interval_s": True}),
]


@pytest.mark.parametrize(("name", "value"), UNREADABLE)
def test_a_field_that_makes_no_sense_is_refused(name: str, value: Json) -> None:
    assert refused(AS_DICT | {name: value}) == "manifest-unreadable"


@pytest.mark.parametrize("pattern", ["", "/", "/etc/", "../x", "a/../b", "a\\b", "a//b", "./a"])
@pytest.mark.parametrize("name", ["kept", "runtime", "logs"])
def test_a_pattern_that_leads_elsewhere_is_refused(name: str, pattern: str) -> None:
    assert refused(AS_DICT | {name: [pattern]}) == "manifest-pattern"


def test_a_pattern_longer_than_any_path_is_refused() -> None:
    assert check_pattern("a" * 240) == "a" * 240
    assert code_of(lambda: check_pattern("a" * 241)) == "manifest-pattern"


BAD_FILES: list[tuple[str, Json]] = [
    ("path", "../evil"),
    ("path", "C:evil"),
    ("path", "a\\b"),
    ("path", MANIFEST_NAME),
    ("path", "manifest.JSON"),
    ("sha256", "x"),
    ("size", -1),
    ("size", 1.0),
    ("mode", "4755"),
    ("mode", "0999"),
    ("mode", 420),
    ("class", "unlisted"),
    ("class", "other"),
    ("class", "kept"),
]


@pytest.mark.parametrize(("name", "value"), BAD_FILES)
def test_a_file_that_makes_no_sense_is_refused(name: str, value: Json) -> None:
    entry = MANIFEST.files[0].to_dict() | {name: value}
    assert refused(AS_DICT | {"files": [entry]}) == "manifest-unreadable"


@pytest.mark.parametrize("paths", [["b", "a"], ["a", "a"], ["A", "a"], ["a", "a/b"]])
def test_files_out_of_order_or_meeting_on_some_system_are_refused(paths: list[str]) -> None:
    entries: list[Json] = [MANIFEST.files[0].to_dict() | {"path": path} for path in paths]
    assert refused(AS_DICT | {"files": entries}) == "manifest-unreadable"


@pytest.mark.parametrize(
    "wrong",
    [
        {"sha256": "x"},
        {"size_bytes": -1},
        {"mode": 0o4755},
        {"file_class": FileClass.UNLISTED},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_file_made_of_wrong_values_is_refused(wrong: dict[str, Any]) -> None:
    assert code_of(lambda: dataclasses.replace(MANIFEST.files[0], **wrong)) == "manifest-unreadable"


# Classes


@pytest.mark.parametrize(
    ("path", "file_class"),
    [
        ("bin/engine.py", FileClass.SHIPPED),
        (MANIFEST_NAME, FileClass.SHIPPED),
        ("conf/engine.toml", FileClass.KEPT),
        ("conf/deep/er/x", FileClass.KEPT),
        ("conf/cache/x", FileClass.KEPT),
        ("deep/er/my.licence", FileClass.KEPT),
        ("logs/engine.log", FileClass.RUNTIME),
        ("data/state.json", FileClass.RUNTIME),
        ("bin/other.py", FileClass.UNLISTED),
        ("config", FileClass.UNLISTED),
        ("conf", FileClass.UNLISTED),
        ("CONF/engine.toml", FileClass.UNLISTED),
        ("my/conf/x", FileClass.UNLISTED),
        ("MY.LICENCE", FileClass.UNLISTED),
    ],
)
def test_every_path_has_one_class(path: str, file_class: FileClass) -> None:
    assert MANIFEST.classify(path) is file_class


def test_a_pattern_that_means_the_manifest_does_not_make_it_the_customers() -> None:
    manifest = dataclasses.replace(MANIFEST, files=(), kept=("*.json",))
    assert manifest.classify(MANIFEST_NAME) is FileClass.SHIPPED


def test_only_shipped_files_are_shipped() -> None:
    assert [entry.path for entry in MANIFEST.shipped()] == ["bin/engine.py", "lib/a.jar"]


def test_a_file_is_found_by_its_path() -> None:
    assert MANIFEST.find("lib/a.jar") is MANIFEST.files[2]
    assert MANIFEST.find("lib/b.jar") is None


def test_the_disk_bytes_are_those_of_all_files() -> None:
    assert MANIFEST.disk_bytes == sum(len(data) for data, _ in FILES.values())
