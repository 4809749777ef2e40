"""Keys of the vendor stolen, used, and replaced with the documented commands.

Each test plays the theft, shows what it is good for, runs the recovery of ``docs/recovery.md``, and shows
that the thief's next try fails while engines that were online meanwhile, or away, are well.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, Targets

from engineshed_packages.metadata import MAX_VERSION, open_view
from engineshed_packages.repository.keys import KeyFolder
from engineshed_packages.repository.releases import ReleaseChange, ReleaseTerms
from engineshed_packages.times import format_time
from engineshed_packages.versions import Version
from tests.attacks.stage import REPOSITORY, Stage
from tests.packages.forgery import sign_with_stolen_online_key
from tests.vendor import PASSPHRASE, Vendor


@pytest.fixture(scope="module")
def robbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A vendor as in production, root 2 of 3; each test robs it, and leaves it recovered."""
    stage = Stage(tmp_path_factory.mktemp("robbed"), products=4, root_keys=3, threshold=2)
    with stage.portal:
        yield stage


def adds_nothing(stage: Stage, bundle: Path) -> bool:
    """Whether the portal takes *bundle* for one of keys that do not count any more."""
    told = stage.portal.upload(bundle)
    return (told["code"], told["added_metadata"], told["releases"]) == ("unchanged", False, [])


def publish_evil_role(thief: Vendor, product: str) -> None:
    """The thief of the online key publishes a product's role, signed with a key of his own."""
    published = thief.repository.published()
    role = Metadata[Targets].from_bytes(published.roles[product].data)
    role.signed.version += 1
    own = KeyFolder(thief.folder / "own", PASSPHRASE)
    own.generate("thief")
    role.sign(own.signer("thief"))
    name = f"{role.signed.version}.{product}.json"
    (thief.repository.metadata / name).write_bytes(role.to_bytes())
    sign_with_stolen_online_key(thief, listed=product, listed_version=role.signed.version)


def test_the_online_key_alone_signs_no_release(robbed: Stage) -> None:
    with robbed.engine() as engine, robbed.between() as site:
        thief = robbed.thief("online")
        publish_evil_role(thief, engine.product)
        site.mount(REPOSITORY, thief.repository.folder)
        done = engine.update(site)
        engine.check_unharmed(done, code="metadata-signature", exit_code=65)


def test_numbers_and_dates_run_up_with_the_stolen_online_key_are_forgotten_under_a_new_one(
    robbed: Stage,
) -> None:
    """Fast-forward: he makes everything the vendor signs from now on look old, and each order expired."""
    with ExitStack() as stack:
        engine = stack.enter_context(robbed.engine())
        away = stack.enter_context(robbed.engine(product=engine.product))
        site = stack.enter_context(robbed.between())
        thief = robbed.thief("online")
        ahead = format_time(thief.now + timedelta(days=700))
        sign_with_stolen_online_key(
            thief, issued=ahead, timestamp_version=MAX_VERSION, snapshot_version=MAX_VERSION
        )
        site.mount(REPOSITORY, thief.repository.folder)
        engine.check_unharmed(engine.update(site), code="order-expired", exit_code=77)
        robbed.portal.upload(thief.bundle("1.1.0", product=engine.product))  # he has a token for that, too
        # The harm is done: what the vendor signs is older than that, for the engine and for the portal.
        robbed.vendor.refresh()
        with robbed.between() as honest:
            honest.mount(REPOSITORY, robbed.vendor.repository.folder)
            engine.check_unharmed(engine.update(honest), code="metadata-rollback", exit_code=65)

        told = robbed.support.run("keys", "rotate", "--role", "online")
        robbed.portal.upload(robbed.support.output / told["bundle"])

        sign_with_stolen_online_key(
            thief, issued=ahead, timestamp_version=MAX_VERSION, snapshot_version=MAX_VERSION
        )
        assert adds_nothing(robbed, thief.metadata_bundle())
        with robbed.between() as again:
            again.mount(REPOSITORY, thief.repository.folder)
            for one in (engine, away):
                one.client("check")  # it has seen the new root
                one.check_unharmed(one.update(again), code="metadata-signature", exit_code=65)
        for one in (engine, away):
            done = one.update()
            assert (done.exit_code, one.version) == (0, "1.1.0"), done.said
        assert not robbed.workshop.evil_has_run


def test_releases_of_a_stolen_product_key_are_gone_when_the_vendor_names_another(robbed: Stage) -> None:
    """He has the online key as well: for daily work both lie in one folder."""
    with ExitStack() as stack:
        victim = stack.enter_context(robbed.engine())
        product = victim.product
        warned, away = (stack.enter_context(robbed.engine(product=product)) for _ in range(2))
        thief = robbed.thief("online", product)
        thief.change("1.1.0", ReleaseChange(withdrawn=True, message="Do not use."), product=product)
        high = ReleaseTerms(floor=Version.parse("9.9.9"))
        for version, terms in (("1.2.0", ReleaseTerms()), ("9.9.9", high)):
            package = robbed.workshop.evil(product, version)
            thief.release(version, product=product, packages=[package], terms=terms)
            robbed.portal.upload(thief.bundle(version, product=product))
        warned.wait_for_offer("9.9.9")  # it has seen his floor, no more
        done = victim.update()
        assert (done.exit_code, victim.version) == (0, "9.9.9"), done.said
        assert robbed.workshop.evil_has_run  # the attack succeeds: his signature was the vendor's word
        robbed.workshop.mark.unlink()

        for role in (product, "online"):
            told = robbed.support.run("keys", "rotate", "--role", role)
        robbed.portal.upload(robbed.support.output / told["bundle"])

        listed = robbed.portal.run("release", "list")
        assert ("9.9.9" in listed, "1.1.0" in listed) == (False, True)
        thief.release("10.0.0", product=product, packages=[robbed.workshop.evil(product, "10.0.0")])
        assert adds_nothing(robbed, thief.bundle("10.0.0", product=product))
        with robbed.between() as site:
            site.mount(REPOSITORY, thief.repository.folder)
            for one in (warned, away):
                one.client("check")
                one.check_unharmed(one.update(site), code="metadata-signature", exit_code=65)
        done = warned.update()  # his floor is forgotten, and so is his word on 1.1.0
        assert (done.exit_code, warned.version) == (0, "1.1.0"), done.said
        for version in ("1.2.0", "9.9.10"):  # a number he had used, and one above his
            robbed.release(product, version)
        for one in (victim, away):
            one.wait_for_offer("9.9.10")
            assert (one.update().exit_code, one.version) == (0, "9.9.10")
        assert not robbed.workshop.evil_has_run


def own_root(stage: Stage, *stolen: str) -> Vendor:
    """A thief's repository whose next root names his own keys for everything, signed by the *stolen* ones."""
    thief = stage.thief(*stolen)
    published = thief.repository.published()
    own = Vendor(thief.folder, products=tuple(published.roles.keys() - {"targets"}), name="own")
    root = own.repository.published().root
    root.version = published.root.version + 1
    metadata = Metadata(root)
    for folder, names in ((own.keys, ("root-1",)), (thief.keys, stolen)):
        for name in names:
            metadata.sign(folder.signer(name), append=True)
    for file in published.roots:
        (own.repository.metadata / file.name).write_bytes(file.data)
    (own.repository.metadata / f"{root.version}.root.json").write_bytes(metadata.to_bytes())
    return own


def test_one_of_three_root_keys_makes_no_root_and_is_replaced_by_the_other_two(
    robbed: Stage, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        engine = stack.enter_context(robbed.engine())
        thief = own_root(robbed, "root-1")
        site = stack.enter_context(robbed.between())
        site.mount(REPOSITORY, thief.repository.folder)
        engine.check_unharmed(engine.update(site), code="metadata-signature", exit_code=65)
        # With two of them it would have been the vendor's root: the control.
        two = own_root(robbed, "root-1", "root-2")
        view = open_view(
            two.source, cache=tmp_path / "cache", trusted_root=robbed.vendor.root, now=robbed.vendor.now
        )
        assert view.root_version == robbed.vendor.repository.published().root.version + 1

        sticks = {name: tmp_path / name for name in ("root-2", "root-3")}
        proposal = tmp_path / "root.proposal"
        support, keys = robbed.support, robbed.vendor.keys.folder
        support.run("keys", "rotate", "--role", "root", "--remove", "root-1", "--proposal", proposal)
        for name, stick in sticks.items():
            stick.mkdir()
            for suffix in (".pem", ".pub"):
                shutil.copy(keys / f"{name}{suffix}", stick)
            support.sign(proposal, stick / f"{name}.pem")
        told = support.run("keys", "apply", proposal)
        robbed.portal.upload(support.output / told["bundle"])

        again = own_root(robbed, "root-1", "root-2")  # now he has a second one, too late
        with robbed.between() as site:
            site.mount(REPOSITORY, again.repository.folder)
            engine.client("check")
            engine.check_unharmed(engine.update(site), code="metadata-signature", exit_code=65)
        done = engine.update()
        assert (done.exit_code, engine.version) == (0, "1.1.0"), done.said
