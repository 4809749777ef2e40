"""Bundles that must not get into a portal, sent by somebody who holds an API token that may upload.

After each the portal offers what it offered before, and serves the metadata it served before.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tuf.api.metadata import Metadata, Targets

from engineshed_packages.archive import Item, open_archive, write_archive
from engineshed_packages.repository.keys import KeyFolder
from engineshed_packages.transport import HttpRefused
from tests.attacks.stage import REPOSITORY, Stage
from tests.packages.forgery import sign_with_stolen_online_key
from tests.vendor import PASSPHRASE, Vendor

PRODUCT = "sample-0"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A portal with 1.0.0, which takes bundles of at most 4 MB; the vendor has 1.1.0, not uploaded."""
    limits = "[limits]\nupload_bytes = 4_000_000\n"
    stage = Stage(tmp_path_factory.mktemp("upload"), settings=limits)
    with stage.portal:
        stage.release(PRODUCT, "1.0.0")
        package = stage.workshop.good(PRODUCT, "1.1.0")
        stage.vendor.release("1.1.0", product=PRODUCT, packages=[package])
        yield stage


def public(stage: Stage) -> tuple[str, str]:
    """What it offers, and the metadata it serves."""
    return stage.get("/api/v1/releases")[1], stage.get(f"{REPOSITORY}/metadata/timestamp.json")[1]


def altered(bundle: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The same zip with other entries, a sound one again."""
    with open_archive(bundle) as archive:
        entries = {entry.name: archive.read(entry.name, max_bytes=10**8) for entry in archive.entries}
    change(entries)
    output = bundle.with_name(f"altered-{bundle.name}")
    write_archive(output, [Item.of_bytes(name, data) for name, data in entries.items()])
    return output


def of_a_stranger(stage: Stage, folder: Path) -> Path:
    """Signed with keys of his own."""
    stranger = Vendor(folder, products=(PRODUCT,), name="stranger")
    evil = stage.workshop.evil(PRODUCT, "1.1.0")
    stranger.release("1.1.0", product=PRODUCT, packages=[evil])
    return stranger.bundle("1.1.0", product=PRODUCT)


def with_other_bytes(stage: Stage, folder: Path) -> Path:
    """Genuine metadata; under the package's name something else, of the same length."""
    evil = stage.workshop.evil(PRODUCT, "1.1.0").read_bytes()

    def change(entries: dict[str, bytes]) -> None:
        (name,) = (name for name in entries if name.startswith("targets/"))
        entries[name] = evil[: len(entries[name])].ljust(len(entries[name]), b"\0")

    return altered(stage.vendor.bundle("1.1.0", product=PRODUCT), change)


def of_two_times(stage: Stage, folder: Path) -> Path:
    """The timestamp of now leads to the snapshot of before."""
    before = stage.thief().repository.published()
    stage.vendor.refresh("targets")
    now = stage.vendor.repository.published()

    def change(entries: dict[str, bytes]) -> None:
        entries[f"metadata/{now.snapshot.name}"] = before.snapshot.data

    return altered(stage.vendor.bundle("1.1.0", product=PRODUCT), change)


def of_the_online_keys_thief(stage: Stage, folder: Path) -> Path:
    """He lists a role of the product that a key of his own has signed."""
    thief = stage.thief("online")
    thief_role = Metadata[Targets].from_bytes(thief.repository.published().roles[PRODUCT].data)
    thief_role.signed.version += 1
    own = KeyFolder(folder / "own", PASSPHRASE)
    own.generate("own")
    thief_role.sign(own.signer("own"))
    genuine = thief.bundle("1.1.0", product=PRODUCT)
    sign_with_stolen_online_key(thief, listed=PRODUCT, listed_version=thief_role.signed.version)
    metadata = thief.repository.metadata
    name = f"{thief_role.signed.version}.{PRODUCT}.json"
    (metadata / name).write_bytes(thief_role.to_bytes())

    def change(entries: dict[str, bytes]) -> None:
        for path in metadata.iterdir():
            entries[f"metadata/{path.name}"] = path.read_bytes()

    return altered(genuine, change)


BUNDLES: dict[str, tuple[str, Callable[[Stage, Path], Path]]] = {
    "a stranger's": ("metadata-signature", of_a_stranger),
    "genuine metadata, other bytes": ("content-mismatch", with_other_bytes),
    "files of two times": ("metadata-signature", of_two_times),
    "of the online key's thief": ("metadata-signature", of_the_online_keys_thief),
}


@pytest.mark.parametrize("kind", BUNDLES)
def test_a_bundle_that_is_not_the_vendors_is_refused(stage: Stage, tmp_path: Path, kind: str) -> None:
    code, make = BUNDLES[kind]
    bundle, before = make(stage, tmp_path), public(stage)
    with pytest.raises(HttpRefused) as caught:
        stage.portal.upload(bundle)
    assert (caught.value.problem, public(stage)) == (code, before)


def test_an_older_bundle_takes_nothing_back(stage: Stage) -> None:
    older = stage.thief().metadata_bundle()
    stage.vendor.refresh()
    stage.upload_metadata()
    before = public(stage)
    told = stage.portal.upload(older)
    assert (told["added_metadata"], "older than" in told["notices"][0], public(stage)) == (
        False,
        True,
        before,
    )


def test_a_package_nobody_signed_is_left_out_of_a_genuine_bundle(stage: Stage) -> None:
    evil = stage.workshop.evil(PRODUCT, "6.6.6").read_bytes()
    name = f"targets/{PRODUCT}/6.6.6/{'0' * 64}.{PRODUCT}-6.6.6-any.zip"
    bundle = altered(stage.vendor.metadata_bundle(), lambda entries: entries.update({name: evil}))
    before = public(stage)[0]
    told = stage.portal.upload(bundle)
    assert name in told["notices"][0]
    assert public(stage)[0] == before
    assert stage.get(f"{REPOSITORY}/{name}")[0] == 404


def test_a_body_larger_than_allowed_is_refused_without_being_read(stage: Stage) -> None:
    """Ten gigabytes announced; and without end, announced as nothing."""
    parts = urlsplit(stage.portal.url)
    before = stage.data_bytes()
    sizes: tuple[tuple[str, dict[str, str]], ...] = (
        ("413", {"Content-Length": str(10 * 10**9)}),
        ("4", {"Transfer-Encoding": "chunked"}),
    )
    for status, headers in sizes:
        connection = http.client.HTTPConnection(parts.netloc, timeout=60)
        connection.putrequest("PUT", "/api/v1/bundles/endless.zip")
        for name, value in {**headers, "Authorization": f"Bearer {stage.portal.token}"}.items():
            connection.putheader(name, value)
        connection.putheader("Content-Type", "application/zip")
        connection.endheaders()
        sent = 0
        try:
            while sent < 64 * 1024 * 1024:
                piece = bytes(65536)
                connection.send(piece if "Content-Length" in headers else b"10000\r\n" + piece + b"\r\n")
                sent += len(piece)
        except OSError:
            pass  # it has hung up
        answer = connection.getresponse()
        assert str(answer.status).startswith(status)
        connection.close()
        assert stage.data_bytes() < before + 8 * 1024 * 1024


def test_the_vendors_own_bundle_is_taken(stage: Stage) -> None:
    """The control."""
    told = stage.portal.upload(stage.vendor.bundle("1.1.0", product=PRODUCT))
    assert [release["version"] for release in told["releases"]] in (["1.1.0"], [])
    assert "1.1.0" in public(stage)[0]
