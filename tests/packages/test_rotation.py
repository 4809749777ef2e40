"""Other keys for each role: what clients make of it, and what the old key is still good for: nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp
from tuf.ngclient import Updater

from engineshed_packages.errors import KeyUnusable, MetadataRefused, Refused
from engineshed_packages.metadata import MAX_VERSION, View, open_view
from engineshed_packages.metadata.fetcher import SourceFetcher
from engineshed_packages.repository.applying import GAP, Applied, apply_proposal
from engineshed_packages.repository.keys import KeyFolder
from engineshed_packages.repository.proposals import Proposal
from engineshed_packages.repository.rotation import (
    KeyChange,
    find_keys,
    propose_keys,
    propose_product,
    propose_removal,
    propose_renewal,
    role_keys,
)
from tests.packages.forgery import contents, metadata_file, rotate, sign_with_stolen_online_key
from tests.vendor import PASSPHRASE, PRODUCT, Vendor

ROLES = ("root", "targets", "online", PRODUCT)


@dataclass
class Client:
    """Somebody who has verified the vendor's repository before, and does so again."""

    vendor: Vendor
    cache: Path
    view: View | None = None

    def look(self) -> View:
        self.view = open_view(
            self.vendor.source,
            cache=self.cache,
            trusted_root=self.vendor.root,
            now=self.vendor.now,
            seen=None if self.view is None else self.view.seen,
        )
        return self.view


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    """One release; every role has one key."""
    vendor = Vendor(tmp_path)
    vendor.release("1.0.0")
    return vendor


@pytest.fixture
def client(vendor: Vendor, tmp_path: Path) -> Client:
    client = Client(vendor, tmp_path / "cache")
    client.look()
    return client


def signed(vendor: Vendor, proposal: Proposal, *names: str) -> Proposal:
    """*proposal* signed by these keys; by all that are asked for when none is named."""
    if names:
        signers = [vendor.keys.signer(name) for name in names]
    else:
        signers = vendor.keys.signers(proposal.asked_keyids(), threshold=0, what="proposal")
    for signer in signers:
        proposal = proposal.signed_by(signer)
    return proposal


def applied(vendor: Vendor, proposal: Proposal) -> Applied:
    return apply_proposal(vendor.repository, vendor.keys, proposal, now=vendor.tick())


def proposal_for(
    vendor: Vendor,
    role: str,
    *,
    remove: tuple[str, ...] = (),
    add: tuple[str, ...] = (),
    threshold: int | None = None,
) -> Proposal:
    published = vendor.repository.published()
    names = {file.public.keyid: file.name for file in vendor.keys.files()}
    change = KeyChange(
        role=role,
        remove=tuple(find_keys(published, role, remove, names=names)),
        add={name: vendor.keys.generate(name) for name in add},
        threshold=threshold,
    )
    return propose_keys(published, change, names=names, now=vendor.tick())


def keyids(vendor: Vendor, role: str) -> list[str]:
    return list(role_keys(vendor.repository.published(), role).keyids)


# --- each role, its only key


@pytest.mark.parametrize("role", ROLES)
def test_a_client_follows_to_the_new_key_and_sees_the_same_releases(
    vendor: Vendor, client: Client, role: str
) -> None:
    before, old = client.look().targets, keyids(vendor, role)
    rotate(vendor, role)
    assert set(keyids(vendor, role)).isdisjoint(old)
    assert client.look().targets == before
    vendor.release("1.1.0")
    assert [target.version.text for target in client.look().targets] == ["1.0.0", "1.1.0"]


def test_a_client_that_was_away_follows_through_all_of_them(vendor: Vendor, client: Client) -> None:
    for role in (*ROLES, *ROLES):
        rotate(vendor, role)
    view = client.look()
    assert (view.root_version, len(view.targets)) == (7, 1)


@pytest.mark.parametrize("role", ROLES)
def test_the_stock_client_follows_too(vendor: Vendor, tmp_path: Path, role: str) -> None:
    for _ in range(2):
        (tmp_path / "stock").mkdir(exist_ok=True)
        updater = Updater(
            str(tmp_path / "stock"), "metadata", fetcher=SourceFetcher(vendor.source), bootstrap=vendor.root
        )
        updater.refresh()
        path = f"{PRODUCT}/1.0.0/{PRODUCT}-1.0.0-any.zip"
        assert updater.get_targetinfo(path) is not None
        rotate(vendor, role)


def sign_root(vendor: Vendor, keys: KeyFolder) -> None:
    """The thief of an old root key makes himself a root."""
    root = vendor.repository.published().root
    root.version += 1
    metadata = Metadata(root)
    (signer,) = keys.signers([file.public.keyid for file in keys.files()], threshold=1, what="root")
    metadata.sign(signer)
    metadata_file(vendor, f"{root.version}.root.json").write_bytes(metadata.to_bytes())


def sign_targets(vendor: Vendor, keys: KeyFolder) -> None:
    """The thief of the old targets key, who has the online key as well, publishes targets."""
    _publish_with(vendor, keys, Targets.type)


def sign_product(vendor: Vendor, keys: KeyFolder) -> None:
    """The thief of the old product's key, who has the online key as well, publishes the role."""
    _publish_with(vendor, keys, PRODUCT)


def _publish_with(vendor: Vendor, keys: KeyFolder, role: str) -> None:
    published = vendor.repository.published()
    targets = published.roles[role].signed
    targets.version += 1
    metadata = Metadata(targets)
    (signer,) = keys.signers([file.public.keyid for file in keys.files()], threshold=1, what=role)
    metadata.sign(signer)
    metadata_file(vendor, f"{targets.version}.{role}.json").write_bytes(metadata.to_bytes())
    sign_with_stolen_online_key(vendor, listed_version=targets.version, listed=role)


def sign_timestamp(vendor: Vendor, keys: KeyFolder) -> None:
    """The thief of the old online key signs a timestamp."""
    published = vendor.repository.published()
    timestamp = published.timestamp.signed
    timestamp.version += 1
    metadata = Metadata(timestamp)
    (signer,) = keys.signers([file.public.keyid for file in keys.files()], threshold=1, what="timestamp")
    metadata.sign(signer)
    metadata_file(vendor, "timestamp.json").write_bytes(metadata.to_bytes())


THIEVES: dict[str, tuple[str, Callable[[Vendor, KeyFolder], None]]] = {
    "root": ("root-1", sign_root),
    "targets": ("targets", sign_targets),
    "online": ("online", sign_timestamp),
    PRODUCT: (f"product-{PRODUCT}", sign_product),
}


def stolen(vendor: Vendor, tmp_path: Path, name: str) -> KeyFolder:
    """The thief's folder with a copy of one key."""
    folder = tmp_path / "thief"
    folder.mkdir()
    for suffix in (".pem", ".pub"):
        shutil.copy(vendor.keys.folder / f"{name}{suffix}", folder)
    return KeyFolder(folder, PASSPHRASE)


@pytest.mark.parametrize("role", ROLES)
def test_what_the_old_key_signs_is_refused(vendor: Vendor, client: Client, tmp_path: Path, role: str) -> None:
    name, sign = THIEVES[role]
    keys = stolen(vendor, tmp_path, name)
    rotate(vendor, role)
    before = client.look()
    sign(vendor, keys)
    with pytest.raises(MetadataRefused) as caught:
        client.look()
    assert caught.value.code == "metadata-signature"
    assert client.view == before


@pytest.mark.parametrize("role", ROLES)
def test_with_the_key_in_force_the_same_would_have_been_taken(
    vendor: Vendor, client: Client, tmp_path: Path, role: str
) -> None:
    """The control: what the thieves above sign is well made."""
    name, sign = THIEVES[role]
    sign(vendor, stolen(vendor, tmp_path, name))
    before = client.view
    assert client.look() != before


def test_a_products_role_keeps_its_releases_and_leaves_a_gap_in_its_numbers(vendor: Vendor) -> None:
    """The thief of the old key may have published the next numbers, which caches then hold for ever."""
    before = vendor.repository.published().roles[PRODUCT].signed
    done = rotate(vendor, PRODUCT)
    after = done.published.roles[PRODUCT].signed
    assert (done.signed, after.targets, after.version) == ((PRODUCT,), before.targets, before.version + GAP)


def test_snapshot_and_timestamp_get_a_new_key_together(vendor: Vendor) -> None:
    before = vendor.repository.published()
    after = rotate(vendor, "online").published
    assert after.root.roles[Snapshot.type].keyids == after.root.roles[Timestamp.type].keyids
    assert after.snapshot.signed.version == before.snapshot.signed.version + GAP


def test_numbers_that_a_thief_ran_up_in_the_repository_itself_begin_anew(
    vendor: Vendor, client: Client
) -> None:
    sign_with_stolen_online_key(vendor, timestamp_version=MAX_VERSION, snapshot_version=MAX_VERSION)
    client.look()
    after = rotate(vendor, "online").published
    assert (after.timestamp.signed.version, after.snapshot.signed.version) == (1, 3)
    vendor.release("1.1.0")
    assert [target.version.text for target in client.look().targets] == ["1.0.0", "1.1.0"]


def test_a_date_that_a_thief_put_ahead_does_not_keep_the_vendor_from_new_keys(vendor: Vendor) -> None:
    sign_with_stolen_online_key(vendor, issued="2090-01-01T00:00:00Z")
    with pytest.raises(KeyUnusable) as caught:
        vendor.refresh()
    assert caught.value.code == "clock-behind"
    rotate(vendor, "online")
    vendor.refresh()


# --- thresholds


@pytest.fixture
def three(tmp_path: Path) -> Vendor:
    """Root 2 of 3."""
    vendor = Vendor(tmp_path, name="three", root_keys=3, threshold=2)
    vendor.release("1.0.0")
    return vendor


def test_one_of_three_root_keys_is_replaced_by_the_other_two(three: Vendor, tmp_path: Path) -> None:
    client = Client(three, tmp_path / "three-cache")
    client.look()
    proposal = proposal_for(three, "root", remove=("root-1",), add=("root-4",))
    done = applied(three, signed(three, proposal, "root-2", "root-3"))
    assert (done.published.root.version, done.published.root.roles["root"].threshold) == (2, 2)
    assert client.look().root_version == 2


def test_a_new_root_needs_the_old_keys_and_the_new_ones(three: Vendor) -> None:
    """2 of 3 each: root-1 alone counts on both sides, once."""
    proposal = proposal_for(three, "root", remove=("root-3",), add=("root-4",))
    partly = signed(three, proposal, "root-1", "root-4")
    before = contents(three.repository.metadata)
    with pytest.raises(KeyUnusable) as caught:
        applied(three, partly)
    assert (caught.value.code, "root 1 asks for" in caught.value.message) == ("signatures-missing", True)
    assert contents(three.repository.metadata) == before
    assert applied(three, signed(three, partly, "root-2")).changed


def test_a_root_of_one_key_becomes_one_of_two_of_three(vendor: Vendor, client: Client) -> None:
    proposal = proposal_for(vendor, "root", add=("root-2", "root-3"), threshold=2)
    applied(vendor, signed(vendor, proposal))
    role = vendor.repository.published().root.roles["root"]
    assert (role.threshold, len(role.keyids), client.look().root_version) == (2, 3, 2)


@pytest.mark.parametrize(
    ("remove", "add", "threshold"), [(("root-1",), (), None), ((), (), 2), ((), ("root-2",), 3), ((), (), 0)]
)
def test_a_set_of_keys_that_makes_no_sense_is_refused(
    vendor: Vendor, remove: tuple[str, ...], add: tuple[str, ...], threshold: int | None
) -> None:
    with pytest.raises(Refused) as caught:
        proposal_for(vendor, "root", remove=remove, add=add, threshold=threshold)
    assert caught.value.code == "keys-plan"


def test_a_key_in_use_is_not_taken_as_a_new_one(vendor: Vendor) -> None:
    published = vendor.repository.published()
    online = published.root.keys[published.root.roles[Timestamp.type].keyids[0]]
    change = KeyChange(role=PRODUCT, remove=(), add={"online": online})  # type: ignore[dict-item]  # it is one
    with pytest.raises(Refused) as caught:
        propose_keys(published, change, names={}, now=vendor.now)
    assert caught.value.code == "key-used"


def test_a_role_or_key_that_does_not_exist_is_named(vendor: Vendor) -> None:
    published = vendor.repository.published()
    for role, wanted, code in (("nobody", (), "role-unknown"), ("root", ("root-9",), "key-unknown")):
        with pytest.raises(Refused) as caught:
            find_keys(published, role, wanted, names={})
        assert caught.value.code == code


def test_a_key_may_be_named_by_the_beginning_of_its_id(vendor: Vendor) -> None:
    published = vendor.repository.published()
    (keyid,) = role_keys(published, "targets").keyids
    assert find_keys(published, "targets", [keyid[:8]], names={}) == [keyid]


# --- products


def test_a_new_product_is_released_and_seen(vendor: Vendor, client: Client) -> None:
    keys = {"product-other": vendor.keys.generate("product-other")}
    proposal = propose_product(vendor.repository.published(), "other", keys, names={}, now=vendor.tick())
    assert applied(vendor, signed(vendor, proposal)).signed == ("other",)
    vendor.release("1.0.0", product="other")
    assert {target.product for target in client.look().targets} == {PRODUCT, "other"}


@pytest.mark.parametrize(
    ("name", "code"), [(PRODUCT, "product-exists"), ("targets", "product-name"), ("online", "product-name")]
)
def test_a_product_that_exists_or_would_look_like_a_role_is_refused(
    vendor: Vendor, name: str, code: str
) -> None:
    with pytest.raises(Refused) as caught:
        propose_product(vendor.repository.published(), name, {}, names={}, now=vendor.now)
    assert caught.value.code == code


def test_a_product_that_is_taken_away_is_not_listed_and_may_come_back(tmp_path: Path) -> None:
    vendor = Vendor(tmp_path, products=("alpha", "beta"))
    for product in ("alpha", "beta"):
        vendor.release("1.0.0", product=product)
    client = Client(vendor, tmp_path / "cache")
    client.look()
    number = vendor.repository.published().roles["beta"].signed.version
    proposal = propose_removal(vendor.repository.published(), "beta", names={}, now=vendor.tick())
    applied(vendor, signed(vendor, proposal))
    assert {target.product for target in client.look().targets} == {"alpha"}
    keys = {"product-beta-2": vendor.keys.generate("product-beta-2")}
    again = propose_product(vendor.repository.published(), "beta", keys, names={}, now=vendor.tick())
    applied(vendor, signed(vendor, again))
    vendor.release("2.0.0", product="beta")
    found = {(target.product, target.version.text) for target in client.look().targets}
    assert found == {("alpha", "1.0.0"), ("beta", "2.0.0")}
    assert vendor.repository.published().roles["beta"].signed.version > number + GAP


def test_the_only_product_cannot_be_taken_away(vendor: Vendor) -> None:
    with pytest.raises(Refused) as caught:
        propose_removal(vendor.repository.published(), PRODUCT, names={}, now=vendor.now)
    assert caught.value.code == "keys-plan"


# --- proposals


def test_a_proposal_applied_twice_is_applied_once(vendor: Vendor) -> None:
    proposal = signed(vendor, proposal_for(vendor, "online", remove=("online",), add=("online-2",)))
    assert applied(vendor, proposal).changed
    before = contents(vendor.repository.metadata)
    assert applied(vendor, proposal).changed is False
    assert contents(vendor.repository.metadata) == before


def test_a_proposal_whose_base_has_changed_is_outdated(vendor: Vendor) -> None:
    proposals = [
        signed(vendor, proposal_for(vendor, role, add=(name,)))
        for role, name in (("root", "root-2"), (PRODUCT, "second"))
    ]
    rotate(vendor, "online")
    vendor.refresh("targets")
    before = contents(vendor.repository.metadata)
    for proposal in proposals:
        with pytest.raises(Refused) as caught:
            applied(vendor, proposal)
        assert caught.value.code == "proposal-outdated"
    assert contents(vendor.repository.metadata) == before


def test_a_release_that_comes_meanwhile_outdates_nothing_and_is_kept(vendor: Vendor, client: Client) -> None:
    """A ceremony takes days; releases go on."""
    proposal = signed(vendor, proposal_for(vendor, PRODUCT, remove=(f"product-{PRODUCT}",), add=("new",)))
    vendor.release("1.1.0")
    applied(vendor, proposal)
    assert [target.version.text for target in client.look().targets] == ["1.0.0", "1.1.0"]


def test_a_proposal_needs_the_new_keys_of_online_roles_when_it_is_applied(vendor: Vendor) -> None:
    proposal = signed(vendor, proposal_for(vendor, PRODUCT, remove=(f"product-{PRODUCT}",), add=("new",)))
    (vendor.keys.folder / "new.pem").unlink()
    before = contents(vendor.repository.folder)
    with pytest.raises(KeyUnusable) as caught:
        applied(vendor, proposal)
    assert caught.value.code == "key-missing"
    assert contents(vendor.repository.folder) == before


def test_offline_roles_are_signed_anew_by_a_proposal_too(vendor: Vendor, client: Client) -> None:
    vendor.tick(days=900)
    proposal = propose_renewal(
        vendor.repository.published(), ["root", "targets"], names={}, now=vendor.tick()
    )
    applied(vendor, signed(vendor, proposal))
    ages = {age.name: age.used_percent for age in vendor.repository.ages(vendor.now)}
    assert (ages["root"], ages["targets"], client.look().root_version) == (0, 0, 2)


def test_only_a_key_that_is_asked_for_signs(vendor: Vendor) -> None:
    proposal = proposal_for(vendor, "online", remove=("online",), add=("online-2",))
    with pytest.raises(KeyUnusable) as caught:
        signed(vendor, proposal, "targets")
    assert caught.value.code == "key-not-asked"


def test_an_altered_proposal_has_lost_its_signatures(vendor: Vendor) -> None:
    proposal = signed(vendor, proposal_for(vendor, "root", add=("root-2",)))
    text = proposal.to_bytes().decode()
    altered = Proposal.from_bytes(
        text.replace('"consistent_snapshot": true', '"consistent_snapshot": false').encode()
    )
    assert (proposal.is_complete, altered.is_complete) == (True, False)


def test_a_proposal_comes_back_from_its_file_as_it_was(vendor: Vendor) -> None:
    proposal = signed(vendor, proposal_for(vendor, "targets", remove=("targets",), add=("targets-2",)))
    assert Proposal.from_bytes(proposal.to_bytes()).to_bytes() == proposal.to_bytes()
    assert isinstance(proposal.new_root, Root)


def test_a_signer_without_an_earlier_root_cannot_smuggle_in_a_later_one(vendor: Vendor) -> None:
    """A proposal that skips a number would leave a hole no client gets across."""
    proposal = proposal_for(vendor, "root", add=("root-2",))
    assert proposal.root is not None
    proposal.root.signed.version += 1
    with pytest.raises(Refused) as caught:
        applied(vendor, signed(vendor, proposal))
    assert caught.value.code == "proposal-outdated"


def test_a_role_that_lives_too_short_is_not_published(vendor: Vendor) -> None:
    """A proposal that was left lying for ten years."""
    proposal = signed(vendor, proposal_for(vendor, "root", add=("root-2",)))
    vendor.tick(days=3651)
    with pytest.raises(KeyUnusable) as caught:
        applied(vendor, proposal)
    assert caught.value.code == "role-expired"
