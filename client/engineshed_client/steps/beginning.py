"""How an attempt begins: everything that can be known beforehand is asked here, then the journal is saved.

Nothing on the disk was touched when one of these functions raises. After it returns, ``machine.run``
carries the attempt out.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from engineshed_client.errors import ClientError, Refused, TryLater, client_boundary
from engineshed_client.fsops import find_stat
from engineshed_client.install.trees import Tree, list_previous
from engineshed_client.journal import Goal, Journal, Kind, Origin, State
from engineshed_client.steps.context import Context
from engineshed_client.steps.facts import find_signed, tree_in
from engineshed_packages.ids import new_id
from engineshed_packages.jsontext import Json
from engineshed_packages.orders import Order
from engineshed_packages.target import Target
from engineshed_packages.versions import Version

logger = logging.getLogger(__name__)


def begin_update(context: Context, target: Target, *, order: Order, envelope: Mapping[str, Json]) -> Journal:
    """Begin what an accepted *order* asks for; ``orders.accept_order`` has judged it.

    Args:
        target: the vendor's verified target that the order names.
        envelope: the order as it was received, for the gate before STOPPING.

    Raises:
        Refused: codes ``up-to-date``, ``engine-unmanaged``, ``two-volumes``.
        TryLater: code ``attempt-under-way``.
        JournalUnwritable: nothing was begun.
    """
    installed = _installed(context)
    _check_not_installed(target, installed)
    return _begin(
        context,
        Journal(
            attempt=new_id("att"),
            kind=Kind.UPDATE,
            state=State.DOWNLOADING,
            goal=_package(target),
            origin=_origin(installed),
            started=context.now(),
            order=envelope,
            order_id=order.id,
            seq=order.seq,
        ),
    )


def begin_install(
    context: Context,
    target: Target,
    *,
    bundle: Path,
    skipped: Literal["refuse", "retry"] = "refuse",
    older: Literal["refuse", "allow"] = "refuse",
) -> Journal:
    """Begin a local installation from *bundle*; also the first one, and the repair of a broken engine.

    Args:
        target: a target of the bundle's verified metadata.
        skipped: what to do when this release failed here before.
        older: what to do when a newer version is installed.

    Raises:
        Refused: codes ``up-to-date``, ``engine-unmanaged``, ``two-volumes``, ``other-product``,
            ``other-platform``, ``withdrawn``, ``below-floor``, ``not-newer``, ``min-version``, ``skipped``.
        TryLater, JournalUnwritable: as for ``begin_update``.
    """
    installed = _installed(context)
    _check_local(context, target, installed)
    if older == "refuse" and installed is not None and target.version < installed.manifest.version:
        raise Refused(
            "not-newer",
            f"{target.version} is older than {installed.manifest.version}, which is installed: use rollback "
            "for a version that is kept, or install with --allow-downgrade",
        )
    seen = context.seen.load()
    if skipped == "refuse" and any(one.sha256 == target.sha256 for one in seen.skipped):
        raise Refused(
            "skipped",
            f"{target.version} failed or was taken back on this engine before: install it with --retry",
        )
    return _begin(
        context,
        Journal(
            attempt=new_id("att"),
            kind=Kind.INSTALL,
            state=State.DOWNLOADING,
            goal=_package(target),
            origin=_origin(installed),
            started=context.now(),
            bundle=str(bundle.absolute()),
        ),
    )


def begin_rollback(context: Context, version: Version | None = None) -> Journal:
    """Begin the return to a kept previous version, with the customer's live files.

    Args:
        version: the kept version; None takes the newest that is whole.

    Raises:
        Refused: codes ``up-to-date`` (it is installed) and ``no-previous``: there is none such, or it is not
            whole.
        TryLater, JournalUnwritable: as for ``begin_update``.
    """
    installed = _installed(context)
    tree = _find_previous(context, installed, version)
    return _begin(context, _rollback(context, installed, tree))


def begin_ordered_rollback(context: Context, *, order: Order, envelope: Mapping[str, Json]) -> Journal:
    """Begin the return that an accepted *order* asks for.

    Unlike the host's administrator a portal takes no engine back below the vendor's floor, or to a release
    that the vendor withdrew.

    Raises:
        Refused: as ``begin_rollback``, and codes ``order-below-floor``, ``order-withdrawn``.
        TryLater, JournalUnwritable: as for ``begin_update``.
    """
    installed = _installed(context)
    tree = _find_previous(context, installed, order.returns_to)
    version, product = tree.manifest.version, context.settings.product
    floor = context.seen.load().floors.get(product)
    if floor is not None and version < floor:
        raise Refused(
            "order-below-floor",
            f"order {order.id} returns to {version}, below the vendor's floor {floor}",
        )
    target = find_signed(context, tree.manifest_sha256)
    if target is not None and target.withdrawn:
        raise Refused("order-withdrawn", f"the vendor has withdrawn {product} {version}")
    journal = _rollback(context, installed, tree)
    return _begin(context, replace(journal, order=envelope, order_id=order.id, seq=order.seq))


def _rollback(context: Context, installed: Tree | None, tree: Tree) -> Journal:
    goal = Goal(version=tree.manifest.version, manifest_sha256=tree.manifest_sha256, folder=tree.folder.name)
    return Journal(
        attempt=new_id("att"),
        kind=Kind.ROLLBACK,
        state=State.STAGING,
        goal=goal,
        origin=_origin(installed),
        started=context.now(),
    )


def _begin(context: Context, journal: Journal) -> Journal:
    if context.journals.load() is not None:
        raise TryLater("attempt-under-way", "an attempt is under way already: let it end first")
    check_volume(context)
    journal = context.save(journal.moved(journal.state, context.now()))
    try:
        with client_boundary():
            write_begin(context, journal)
    except ClientError:
        _take_back(context, journal)
        raise
    context.log.event(journal.attempt, journal.state.value)
    return journal


def _take_back(context: Context, journal: Journal) -> None:
    """Drop the journal of an attempt that could not begin; where it stays, the next recovery goes on."""
    try:
        context.journals.drop()
    except ClientError as err:
        logger.error("journal left", extra={"attempt": journal.attempt, "code": err.code})


def write_begin(context: Context, journal: Journal) -> None:
    """Write the attempt's BEGIN line, if it is not there yet.

    Raises:
        DiskTrouble: it is not there.
    """
    context.log.begin(
        journal.attempt,
        from_version=None if journal.origin is None else journal.origin.version.text,
        to_version=journal.goal.version.text,
        kind=journal.kind,
        order=journal.order_id,
    )


def _installed(context: Context) -> Tree | None:
    with client_boundary():
        tree = tree_in(context, context.paths.engine)
        if tree is None and find_stat(context.paths.engine) is not None:
            raise Refused(
                "engine-unmanaged",
                f"{context.paths.engine} holds no engine with a readable manifest: it was not installed by "
                "this updater; adopt it (engineshed-client enrol --adopt --version X), or move it away and "
                "install a bundle",
            )
    return tree


def _origin(installed: Tree | None) -> Origin | None:
    if installed is None:
        return None
    return Origin(version=installed.manifest.version, manifest_sha256=installed.manifest_sha256)


def _package(target: Target) -> Goal:
    return Goal(version=target.version, manifest_sha256=target.manifest_sha256, target=target)


def _check_not_installed(target: Target, installed: Tree | None) -> None:
    if installed is None or installed.manifest_sha256 != target.manifest_sha256:
        return
    with client_boundary():
        if installed.is_whole():
            raise Refused("up-to-date", f"{target.product} {target.version} is installed already, and whole")


def _check_local(context: Context, target: Target, installed: Tree | None) -> None:
    settings = context.settings
    if target.product != settings.product:
        raise Refused(
            "other-product", f"the bundle is for {target.product}, this engine is {settings.product}"
        )
    if not target.fits(settings.platform):
        raise Refused(
            "other-platform", f"the package is for {target.platform}, this host is {settings.platform}"
        )
    if target.withdrawn:
        raise Refused("withdrawn", target.withdrawal)
    _check_not_installed(target, installed)
    floor = context.seen.load().floors.get(target.product)
    if floor is not None and target.version < floor:
        raise Refused("below-floor", f"{target.version} is below the vendor's floor {floor}")
    version = None if installed is None else installed.manifest.version
    step = target.min_version
    if version is not None and step is not None and version < step:
        raise Refused("min-version", f"{target.version} needs {step} installed first, found {version}")


def _find_previous(context: Context, installed: Tree | None, version: Version | None) -> Tree:
    """The newest whole kept engine, of *version* when one is named."""
    if version is not None and installed is not None and installed.manifest.version == version:
        raise Refused("up-to-date", f"{version} is installed already")
    kept = []
    with client_boundary():
        for path in list_previous(context.paths):
            tree = tree_in(context, path)
            if tree is None or (installed is not None and tree.manifest_sha256 == installed.manifest_sha256):
                continue
            kept.append(tree.manifest.version.text)
            if version in (None, tree.manifest.version) and tree.is_whole():
                return tree
    wanted = "whole previous version" if version is None else f"whole {version}"
    raise Refused(
        "no-previous",
        f"no {wanted} is kept beside {context.paths.engine} (kept: {', '.join(kept) or 'none'}): "
        "install a bundle instead",
    )


def check_volume(context: Context) -> None:
    """Pass a base that lies on one volume, its folder for work made.

    Raises:
        Refused: code ``two-volumes``.
    """
    paths = context.paths
    with client_boundary():
        context.fs.make_folder(paths.work, mode=0o700)
        volumes = {
            os.lstat(path).st_dev
            for path in (paths.base, paths.engine, paths.update, paths.work)
            if find_stat(path) is not None
        }
    if len(volumes) > 1:
        raise Refused(
            "two-volumes",
            f"{paths.engine} and {paths.work} lie on different volumes, where nothing can be renamed in one "
            "step: put both below one base on one volume",
        )
