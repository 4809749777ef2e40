from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from engineshed_packages.locks import exclusive
from engineshed_packages.metadata import open_view
from engineshed_packages.repository.releases import ReleaseChange, ReleaseTerms
from engineshed_packages.sources import FolderSource
from engineshed_packages.target import Target
from engineshed_packages.versions import Version
from engineshed_server.db.trust import list_speakers
from engineshed_server.errors import Conflict, NotFound, ServerError, TryLater
from engineshed_server.services import ingest, releases
from engineshed_server.services.ingest import Ingested, IngestedRelease, VerifiedPackage
from tests.server.portals import House
from tests.vendor import PRODUCT, twin_of


def offered(house: House) -> list[str]:
    return [release.version for release in releases.list_releases(house.portal)]


def proven(house: House, target: Target) -> VerifiedPackage:
    """What is told of a package that was verified, and of whose word it is."""
    with house.portal.database.read() as session:
        speakers = list_speakers(session)[PRODUCT]
    assert len(speakers.keyids) == 1
    return VerifiedPackage(
        product=PRODUCT,
        version=target.version.text,
        platform=target.platform,
        length_bytes=target.length_bytes,
        sha256=target.sha256,
        keyids=speakers.keyids,
    )


def test_a_bundle_publishes_its_release(house: House) -> None:
    target = house.vendor.release("1.0.0")
    done = house.ingest("1.0.0")
    assert done == Ingested(
        code="published",
        releases=(IngestedRelease(product=PRODUCT, version="1.0.0", platforms=("any",)),),
        added_metadata=True,
        notices=(),
        verified=(proven(house, target),),
    )
    assert offered(house) == ["1.0.0"]


def test_an_updater_verifies_what_was_published(house: House) -> None:
    target = house.vendor.release("1.0.0")
    house.ingest("1.0.0")
    view = open_view(
        FolderSource(house.portal.metadata.folder.parent),
        cache=house.vendor.folder / "updater",
        trusted_root=house.vendor.root,
        now=house.now,
    )
    assert view.targets == (target,)


def test_the_published_package_is_the_vendors_bytes(house: House) -> None:
    target = house.vendor.release("1.0.0")
    house.ingest("1.0.0")
    package = releases.find_target(house.portal, target.download_name)
    assert package is not None
    assert package.path.read_bytes() == house.vendor.package_bytes(target)


def test_the_same_bundle_twice_changes_nothing(house: House) -> None:
    target = house.vendor.release("1.0.0")
    bundle = house.vendor.bundle("1.0.0")
    house.ingest_file(bundle)
    audited, generation = house.audited(), house.portal.snapshot.current().generation
    done = house.ingest_file(bundle)
    assert done == Ingested(
        code="unchanged", releases=(), added_metadata=False, notices=(), verified=(proven(house, target),)
    )
    assert (house.audited(), house.portal.snapshot.current().generation) == (audited, generation)


def test_every_change_has_its_row_in_the_audit_with_who_did_it(house: House) -> None:
    house.publish("1.0.0")
    _, _, *audited = house.audited()  # the first two are of `init`
    assert audited == ["package-stored", "package-published", "metadata-published"]


def test_a_release_on_several_platforms_is_one_release(house: House) -> None:
    house.vendor.release("1.0.0", platforms=("linux-x86_64", "windows-x86_64"))
    done = house.ingest("1.0.0")
    assert done.releases[0].platforms == ("linux-x86_64", "windows-x86_64")


def test_the_second_platform_may_come_with_a_bundle_of_its_own(house: House) -> None:
    house.vendor.release("1.0.0", platforms=("linux-x86_64", "windows-x86_64"))
    for platform in ("linux-x86_64", "windows-x86_64"):
        done = house.ingest_file(house.vendor.bundle("1.0.0", platforms=(platform,)))
        assert (done.code, done.releases[0].platforms) == ("published", (platform,))


def test_a_release_the_metadata_lists_but_no_bundle_brought_is_not_offered(house: House) -> None:
    house.vendor.release("1.0.0")
    house.vendor.release("1.1.0")
    house.ingest("1.1.0")
    assert offered(house) == ["1.1.0"]


def test_an_older_bundle_adds_its_packages_and_no_metadata_and_says_so(house: House) -> None:
    house.vendor.release("1.0.0")
    older = house.vendor.bundle("1.0.0")
    house.publish("1.1.0")
    before = house.portal.metadata.timestamp()
    done = house.ingest_file(older)
    assert (done.code, done.added_metadata, done.releases[0].version) == ("published", False, "1.0.0")
    assert "older than what this portal trusts" in done.notices[0]
    assert house.portal.metadata.timestamp() == before
    assert offered(house) == ["1.1.0", "1.0.0"]


def test_an_older_bundle_that_brings_nothing_is_unchanged(house: House) -> None:
    house.vendor.release("1.0.0")
    older = house.vendor.bundle("1.0.0")
    house.ingest_file(older)
    house.publish("1.1.0")
    done = house.ingest_file(older)
    assert (done.code, done.releases, len(done.notices)) == ("unchanged", (), 1)


def test_metadata_that_was_only_signed_anew_is_taken(house: House) -> None:
    house.publish("1.0.0")
    house.vendor.refresh()
    done = house.ingest("1.0.0")
    assert (done.code, done.releases, done.added_metadata) == ("published", (), True)


def test_a_release_the_vendor_withdraws_is_not_offered_any_more(house: House) -> None:
    house.publish("1.0.0")
    engine = house.enrol()
    assert house.poll(engine).code == "offer"
    house.vendor.change("1.0.0", ReleaseChange(withdrawn=True))
    house.ingest("1.0.0")
    assert house.poll(engine).order is None
    assert house.audited()[-2:] == ["package-terms-changed", "metadata-published"]


def test_a_withdrawal_arrives_in_a_bundle_without_packages(house: House) -> None:
    house.publish("1.0.0")
    engine = house.enrol()
    house.vendor.change("1.0.0", ReleaseChange(withdrawn=True, message="Does not start."))
    done = house.ingest_file(house.vendor.metadata_bundle())
    assert (done.code, done.releases, done.added_metadata) == ("published", (), True)
    answer = house.poll(engine)
    assert (answer.order, "the vendor withdrew it: Does not start." in answer.text) == (None, True)


def test_the_highest_floor_ever_signed_is_remembered(house: House) -> None:
    house.vendor.release("1.0.0", terms=ReleaseTerms(floor=Version.parse("0.9")))
    house.ingest("1.0.0")
    candidate = house.portal.snapshot.current().candidates_of(PRODUCT)[0]
    assert candidate.floor == Version.parse("0.9")


def test_newer_metadata_with_other_bytes_for_a_version_is_a_conflict_and_changes_nothing(
    house: House, tmp_path: Path
) -> None:
    twin = twin_of(house.vendor, tmp_path)
    house.publish("1.0.0")
    twin.release("0.9.0")
    twin.release("1.0.0", files={"notes.txt": b"other bytes"})
    before = (house.audited(), house.portal.metadata.timestamp())
    with pytest.raises(Conflict) as caught:
        house.ingest_file(twin.bundle("1.0.0"))
    assert caught.value.code == "release-other-bytes"
    assert (house.audited(), house.portal.metadata.timestamp()) == before


def test_other_bytes_under_metadata_of_the_same_version_are_a_conflict_too(
    house: House, tmp_path: Path
) -> None:
    twin = twin_of(house.vendor, tmp_path)
    house.publish("1.0.0")
    twin.release("1.0.0", files={"notes.txt": b"other bytes"})
    with pytest.raises(Conflict) as caught:
        house.ingest_file(twin.bundle("1.0.0"))
    assert caught.value.code == "release-other-bytes"


def test_of_two_ingests_at_once_with_other_bytes_one_wins(house: House, tmp_path: Path) -> None:
    twin = twin_of(house.vendor, tmp_path)
    house.vendor.release("1.0.0")
    twin.release("1.0.0", files={"notes.txt": b"other bytes"})
    bundles = [house.vendor.bundle("1.0.0"), twin.bundle("1.0.0")]
    codes: list[str] = []

    def take(bundle: Path) -> None:
        try:
            codes.append(house.ingest_file(bundle).code)
        except Conflict as err:
            codes.append(err.code)

    threads = [threading.Thread(target=take, args=(bundle,)) for bundle in bundles]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == ["published", "release-other-bytes"]


def test_two_ingests_at_once_of_one_bundle_publish_it_once(house: House) -> None:
    house.vendor.release("1.0.0")
    bundle = house.vendor.bundle("1.0.0")
    done: list[Ingested] = []
    threads = [threading.Thread(target=lambda: done.append(house.ingest_file(bundle))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.code for one in done) == ["published", "unchanged"]


def test_who_waits_too_long_for_another_ingest_is_told_to_come_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.vendor.release("1.0.0")
    monkeypatch.setattr(ingest, "LOCK_WAIT_S", 0.0)
    with exclusive(house.portal.folders.ingest_lock, wait_s=0), pytest.raises(TryLater) as caught:
        house.ingest("1.0.0")
    assert caught.value.code == "ingest-busy"


def test_a_blob_that_was_lost_comes_back_with_its_bundle(house: House) -> None:
    target = house.vendor.release("1.0.0")
    house.ingest("1.0.0")
    package = releases.find_target(house.portal, target.download_name)
    assert package is not None
    package.path.unlink()
    with pytest.raises(NotFound) as caught:
        releases.find_target(house.portal, target.download_name)
    assert (caught.value.code, "upload its bundle again" in caught.value.message) == ("bytes-missing", True)
    house.ingest("1.0.0")
    assert releases.find_target(house.portal, target.download_name) is not None


def test_expired_metadata_is_refused(house: House) -> None:
    house.vendor.release("1.0.0")
    house.now += timedelta(days=5 * 365)
    with pytest.raises(ServerError) as caught:
        house.ingest("1.0.0")
    assert caught.value.code == "metadata-expired"
