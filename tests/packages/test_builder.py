"""Building packages: the same bytes from the same input, and nothing from outside the sources."""

import os
import sys
import zipfile
from pathlib import Path

import pytest

from engineshed_packages.archive import Item, open_archive, write_archive
from engineshed_packages.builder import BuiltPackage, build_package
from engineshed_packages.digests import digest_file
from engineshed_packages.errors import ContentMismatch, ManifestRefused, PackagesError, TargetRefused
from engineshed_packages.manifest import MANIFEST_NAME, FileClass, read_manifest
from engineshed_packages.versions import Version

DESCRIPTION = """
product = "sample-engine"
kept = ["conf/"]
runtime = ["logs/"]
logs = ["logs/*.log"]
[start]
command = ["{engine}/bin/run"]
[probe]
tcp = "127.0.0.1:1"
"""
# Of what the fixture `source` builds. Changes when the format does, never by the machine.
SHA256_OF_SOURCE = "3073a3ceff7c35ef93e4d24e007ae5acef7418cf5a07133b4ef0f57eb89369f7"


def write_files(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    files = {
        "package.toml": DESCRIPTION,
        "bin/run": "#!/bin/sh",
        "conf/a.toml": "",
        "lib/b/c": "c",
        "logs/x": "x",
    }
    folder = write_files(tmp_path / "source", files)
    (folder / "bin/run").chmod(0o755)
    return folder


@pytest.fixture
def output(tmp_path: Path) -> Path:
    folder = tmp_path / "output"
    folder.mkdir()
    return folder


def build(output: Path, *sources: Path) -> BuiltPackage:
    return build_package(sources, version=Version("1.2.0"), platform="any", output=output)


def packed(output: Path, *sources: Path) -> dict[str, bytes]:
    path = build(output, *sources).path
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist() if name != MANIFEST_NAME}


def refused(output: Path, *sources: Path) -> PackagesError:
    with pytest.raises(PackagesError) as caught:
        build(output, *sources)
    assert list(output.iterdir()) == []
    return caught.value


def test_a_package_has_the_name_of_what_is_in_it(source: Path, output: Path) -> None:
    assert build(output, source).path == output / "sample-engine-1.2.0-any.zip"


def test_a_package_says_its_digests(source: Path, output: Path) -> None:
    built = build(output, source)
    assert built.digests == digest_file(built.path)


def test_the_manifest_is_the_first_entry_and_then_come_the_files_by_name(source: Path, output: Path) -> None:
    built = build(output, source)
    with open_archive(built.path) as archive:
        assert read_manifest(archive) == built.manifest
        assert [entry.name for entry in archive.entries] == [
            MANIFEST_NAME,
            *("bin/run", "conf/a.toml", "lib/b/c", "logs/x"),
        ]


def test_files_get_the_class_their_patterns_say(source: Path, output: Path) -> None:
    assert {entry.path: entry.file_class for entry in build(output, source).manifest.files} == {
        "bin/run": FileClass.SHIPPED,
        "conf/a.toml": FileClass.KEPT,
        "lib/b/c": FileClass.SHIPPED,
        "logs/x": FileClass.RUNTIME,
    }


def test_only_the_permission_to_execute_counts(source: Path, output: Path) -> None:
    (source / "bin/run").chmod(0o4711)
    (source / "lib/b/c").chmod(0o600)
    modes = {entry.path: entry.mode for entry in build(output, source).manifest.files}
    assert (modes["bin/run"], modes["lib/b/c"]) == (0o755, 0o644)


def test_the_description_is_not_packed(source: Path, output: Path) -> None:
    assert "package.toml" not in packed(output, source)


def test_what_python_caches_is_not_packed(source: Path, output: Path) -> None:
    write_files(source, {"lib/__pycache__/c.cpython-311.pyc": "x"})
    assert packed(output, source).keys() == {"bin/run", "conf/a.toml", "lib/b/c", "logs/x"}


def test_dates_umask_and_order_of_creation_change_nothing(source: Path, output: Path, tmp_path: Path) -> None:
    old_umask = os.umask(0o077)
    try:
        names = sorted((path for path in source.rglob("*") if path.is_file()), reverse=True)
        for number, path in enumerate(names):
            copy = tmp_path / "copy" / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
            copy.chmod(0o700 if path.stat().st_mode & 0o100 else 0o400)
            os.utime(copy, (number * 1e6, number * 1e6))
        (tmp_path / "other").mkdir()
        second = build(tmp_path / "other", tmp_path / "copy")
    finally:
        os.umask(old_umask)
    assert second.digests == build(output, source).digests


def test_a_source_has_the_same_bytes_on_any_machine(source: Path, output: Path) -> None:
    assert build(output, source).digests.sha256 == SHA256_OF_SOURCE


# Overlays


def test_a_later_source_lies_over_an_earlier_one(source: Path, output: Path, tmp_path: Path) -> None:
    over = write_files(tmp_path / "over", {"lib/b/c": "newer", "lib/d": "d"})
    files = packed(output, source, over)
    assert (files["lib/b/c"], files["lib/d"], files["bin/run"]) == (b"newer", b"d", b"#!/bin/sh")


def test_a_later_description_replaces_the_keys_it_has(source: Path, output: Path, tmp_path: Path) -> None:
    over = write_files(tmp_path / "over", {"package.toml": 'kept = ["lib/"]\n'})
    manifest = build(output, source, over).manifest
    assert (manifest.kept, manifest.runtime) == (("lib/",), ("logs/",))


def test_a_file_over_a_folder_is_refused(source: Path, output: Path, tmp_path: Path) -> None:
    over = write_files(tmp_path / "over", {"lib": "a file"})
    assert refused(output, source, over).code == "manifest-unreadable"


# Links


def test_a_link_inside_the_source_is_packed_as_a_file(source: Path, output: Path) -> None:
    (source / "lib/link").symlink_to("b/c")
    assert packed(output, source)["lib/link"] == b"c"


def test_a_link_to_a_folder_inside_the_source_is_packed_as_its_files(source: Path, output: Path) -> None:
    (source / "lib/again").symlink_to("b")
    assert packed(output, source)["lib/again/c"] == b"c"


@pytest.mark.parametrize("to", ["../outside", "../../outside", "/etc/hostname", "/"])
def test_a_link_out_of_the_source_is_refused(source: Path, output: Path, tmp_path: Path, to: str) -> None:
    write_files(tmp_path, {"outside": "secret"})
    write_files(source, {"outside-of-lib": ""})
    (source / "link").symlink_to(to)
    assert refused(output, source).code == "package-source"


def test_a_link_into_another_source_is_refused(source: Path, output: Path, tmp_path: Path) -> None:
    over = write_files(tmp_path / "over", {"x": "x"})
    (over / "link").symlink_to(source / "bin/run")
    assert refused(output, source, over).code == "package-source"


def test_a_link_that_leads_nowhere_is_refused(source: Path, output: Path) -> None:
    (source / "link").symlink_to("absent")
    assert refused(output, source).code == "package-source"


def test_a_link_to_itself_is_refused(source: Path, output: Path) -> None:
    (source / "link").symlink_to("link")
    assert refused(output, source).code == "package-source"


def test_a_link_to_a_folder_it_stands_in_is_refused(source: Path, output: Path) -> None:
    (source / "lib/b/up").symlink_to("../..")
    assert refused(output, source).code == "package-source"


def test_a_source_that_is_a_link_itself_is_built(source: Path, output: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(source)
    assert packed(output, tmp_path / "current")["lib/b/c"] == b"c"


# What is refused


def test_a_fifo_is_refused(source: Path, output: Path) -> None:
    if sys.platform != "win32":
        os.mkfifo(source / "pipe")
    assert refused(output, source).code == "package-source"


def test_a_source_that_is_not_there_is_refused(source: Path, output: Path, tmp_path: Path) -> None:
    assert refused(output, source, tmp_path / "absent").code == "package-source"


def test_a_manifest_in_the_source_is_refused(source: Path, output: Path) -> None:
    write_files(source, {MANIFEST_NAME: "{}"})
    assert refused(output, source).code == "package-source"


@pytest.mark.parametrize("name", ["aux.txt", "a:b", "trailing.", "back\\slash", "tab\tname"])
def test_a_file_whose_name_is_not_valid_everywhere_is_refused(source: Path, output: Path, name: str) -> None:
    write_files(source, {name: ""})
    assert refused(output, source).code == "manifest-unreadable"


def test_files_that_differ_by_case_are_refused(source: Path, output: Path) -> None:
    write_files(source, {"lib/B/c": ""})
    assert refused(output, source).code == "manifest-unreadable"


def test_a_platform_nobody_builds_for_is_refused(source: Path, output: Path) -> None:
    with pytest.raises(TargetRefused) as caught:
        build_package([source], version=Version("1.0"), platform="amiga", output=output)
    assert caught.value.code == "platform-unknown"


DESCRIPTIONS = {
    "none": (None, "package-description"),
    "no TOML": ("product = ", "package-description"),
    "no product": ("kept = []", "package-description"),
    "unknown key": (DESCRIPTION + "\n[hooks]\n", "package-description"),
    "unknown key in a table": (DESCRIPTION + "good_tick = 3\n", "package-description"),
    "a version, which is the builder's": ('version = "1"\n' + DESCRIPTION, "package-description"),
    "patterns that are no list": (DESCRIPTION.replace('["conf/"]', '"conf/"'), "package-description"),
    "a product with a bad name": (DESCRIPTION.replace("sample-engine", "root"), "product-name"),
    "a pattern that leads elsewhere": (DESCRIPTION.replace("conf/", "../conf/"), "manifest-pattern"),
    "no start": (DESCRIPTION.replace("[start]", "[stop]"), "manifest-unreadable"),
    "a fraction": (DESCRIPTION + "timeout_s = 1.5\n", "manifest-unreadable"),
    "a date": (DESCRIPTION + "timeout_s = 2026-11-22\n", "manifest-unreadable"),
    "an unknown need": ('needs = ["hooks"]\n' + DESCRIPTION, "manifest-needs-unknown"),
}


@pytest.mark.parametrize(("text", "code"), DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_a_description_that_makes_no_sense_is_refused(
    source: Path, output: Path, text: str | None, code: str
) -> None:
    (source / "package.toml").unlink()
    if text is not None:
        (source / "package.toml").write_text(text)
    assert refused(output, source).code == code


def test_a_description_of_many_megabytes_is_not_read(source: Path, output: Path) -> None:
    (source / "package.toml").write_text(DESCRIPTION + "#" * 300_000)
    assert refused(output, source).code == "package-description"


def test_a_file_that_changes_while_it_is_packed_leaves_no_package(
    source: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change_then_write(path: Path, items: list[Item]) -> None:
        (source / "lib/b/c").write_text("C")
        write_archive(path, items)

    monkeypatch.setattr("engineshed_packages.builder.write_archive", change_then_write)
    error = refused(output, source)
    assert isinstance(error, ContentMismatch)


def test_a_failed_build_leaves_the_package_that_was_there(source: Path, output: Path) -> None:
    path = build(output, source).path
    before = path.read_bytes()
    (source / "link").symlink_to("absent")
    with pytest.raises(ManifestRefused):
        build(output, source)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("{engine}/bin/run", "{engin}/bin/run", "{engin}"),
        ("[probe]", '[stop]\ncommand = ["{pythn}", "x"]\n[probe]', "{pythn}"),
        ('tcp = "127.0.0.1:1"', 'command = ["{base}/x", "{BASE}"]', "{BASE}"),
        ("{engine}/bin/run", "{engine}/bin/walk", "{engine}/bin/walk"),
        ('"{engine}/bin/run"', '"{python}", "{engine}/run.py"', "{engine}/run.py"),
    ],
)
def test_a_typing_error_in_a_command_is_refused(
    source: Path, output: Path, old: str, new: str, named: str
) -> None:
    (source / "package.toml").write_text(DESCRIPTION.replace(old, new))
    err = refused(output, source)
    assert (err.code, named in err.message) == ("package-description", True)


def test_braces_that_are_no_placeholder_are_let_through(source: Path, output: Path) -> None:
    command = '"{engine}/bin/run", "${HOME}", "{}", "{1,2}"'
    (source / "package.toml").write_text(DESCRIPTION.replace('"{engine}/bin/run"', command))
    assert build(output, source).manifest.start.command[1:] == ("${HOME}", "{}", "{1,2}")
