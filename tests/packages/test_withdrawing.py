"""`engineshed-packages withdraw` and the bundle without packages that tells portals and engines of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engineshed_packages.archive import Item, open_archive, write_archive
from engineshed_packages.bundle import open_bundle
from engineshed_packages.cli import main
from engineshed_packages.repository import Repository
from engineshed_packages.repository.releases import packages_in
from engineshed_packages.target import Target
from tests.packages.forgery import contents
from tests.packages.shell import PACKAGE, Shell, released
from tests.vendor import PRODUCT, Vendor

REASON = "Loses its connection after an hour."


def targets() -> list[Target]:
    """What the repository in the working folder lists."""
    return packages_in(Repository(Path("repository")).published().roles[PRODUCT].signed)


def test_a_withdrawal_is_signed_with_its_reason_and_written_as_a_bundle(ready: Shell) -> None:
    released(ready)
    told = ready.data("withdraw", PRODUCT, "1.0.0", "--reason", REASON)
    (target,) = targets()
    assert (target.withdrawn, target.message, told["changed"]) == (True, REASON, True)
    assert Path(str(told["bundle"])).is_file()


def test_its_bundle_holds_no_package_and_is_verified_as_what_it_is(ready: Shell) -> None:
    released(ready)
    path = Path(str(ready.data("withdraw", PRODUCT, "1.0.0", "--reason", REASON)["bundle"]))
    with open_archive(path) as archive:
        assert {entry.name.partition("/")[0] for entry in archive.entries} == {"Version.txt", "metadata"}
    with open_bundle(path) as bundle:
        assert f"withdrawn {PRODUCT} 1.0.0: {REASON}" in bundle.version_txt()
    assert ready.run("verify", path, "--root", "root.json") == 0
    assert "holds no package" in ready.err


def test_the_reason_is_needed(ready: Shell) -> None:
    released(ready)
    with pytest.raises(SystemExit) as caught:
        main(["withdraw", PRODUCT, "1.0.0"])
    assert caught.value.code == 2
    assert targets()[0].withdrawn is False


@pytest.mark.parametrize(
    ("more", "message"), [((), ""), (("--reason", "Mended by 1.0.1."), "Mended by 1.0.1.")]
)
def test_undo_offers_it_again_and_takes_the_reason_back(
    ready: Shell, more: tuple[str, ...], message: str
) -> None:
    released(ready)
    ready.run("withdraw", PRODUCT, "1.0.0", "--reason", REASON)
    assert ready.run("withdraw", PRODUCT, "1.0.0", "--undo", *more) == 0
    assert "offered again" in ready.out
    assert (targets()[0].withdrawn, targets()[0].message) == (False, message)


def test_the_same_again_publishes_nothing_and_writes_the_bundle_once_more(ready: Shell) -> None:
    """A first run that was killed after it had signed is mended by the second."""
    released(ready)
    path = Path(str(ready.data("withdraw", PRODUCT, "1.0.0", "--reason", REASON)["bundle"]))
    before, written = contents(Path("repository")), path.read_bytes()
    path.unlink()
    assert ready.data("withdraw", PRODUCT, "1.0.0", "--reason", REASON)["changed"] is False
    assert (contents(Path("repository")), path.read_bytes()) == (before, written)


def test_one_platform_can_be_withdrawn_alone(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    vendor = Vendor(shell.folder)
    vendor.release("1.0.0", platforms=("linux-x86_64", "windows-x86_64"))
    common = ("--repository", vendor.repository.folder, "--keys", vendor.keys.folder)
    given = (*common, "--passphrase-file", "passphrase", "--reason", REASON)
    assert shell.run("withdraw", PRODUCT, "1.0.0", "--platform", "windows-x86_64", *given) == 0
    view = vendor.view(shell.folder / "cache")
    assert {one.platform: one.withdrawn for one in view.targets} == {
        "linux-x86_64": False,
        "windows-x86_64": True,
    }
    assert shell.run("withdraw", PRODUCT, "1.0.0", "--platform", "any", *given) == 1
    assert "1.0.0 for any was never published" in shell.err


def test_what_was_never_published_cannot_be_withdrawn(ready: Shell) -> None:
    assert ready.run("withdraw", PRODUCT, "9.9", "--reason", REASON) == 1
    assert "[release-unknown]" in ready.err
    assert not list(Path().glob("*-bundle.zip"))


def test_a_withdrawal_needs_the_products_key(ready: Shell) -> None:
    released(ready)
    Path("keys", f"product-{PRODUCT}.pem").unlink()
    assert ready.run("withdraw", PRODUCT, "1.0.0", "--reason", REASON) == 78
    assert targets()[0].withdrawn is False


def test_a_bundle_of_metadata_alone_needs_no_key(ready: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    released(ready)
    monkeypatch.delenv("ENGINESHED_KEY_PASSPHRASE_FILE")
    assert ready.run("bundle", "--metadata-only", "--output", "news.zip") == 0
    assert ready.run("verify", "news.zip", "--root", "root.json") == 0


@pytest.mark.parametrize("words", [[], [PRODUCT], [PRODUCT, "1.0.0", "--metadata-only"]])
def test_a_bundle_of_neither_a_release_nor_metadata_alone_is_wrong_usage(words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["bundle", *words])
    assert caught.value.code == 2


def test_a_bundle_whose_packages_nobody_lists_is_not_taken_for_one_without(ready: Shell) -> None:
    """Else a foreign package would hide behind metadata that is genuine."""
    ready.run("bundle", "--metadata-only", "--output", "news.zip")
    with open_archive(Path("news.zip")) as archive:
        entries = {entry.name: archive.read(entry.name, max_bytes=10**7) for entry in archive.entries}
    entries["targets/foreign.zip"] = PACKAGE.read_bytes()
    write_archive(Path("odd.zip"), [Item.of_bytes(name, data) for name, data in entries.items()])
    assert ready.run("verify", "odd.zip", "--root", "root.json") == 65
    assert "[nothing-to-verify]" in ready.err
