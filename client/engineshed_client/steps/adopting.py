"""Adoption: an engine that was installed long ago gets a manifest, and from then on is one like any other.

Nothing else in its folder is touched, and it is not stopped. What differs from its release does not keep it
from being adopted: it is told, and the next update replaces what is the vendor's. Every step may run twice:
an engine that has its manifest already is only told of, once.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from engineshed_client.adoption import Adoption, AdoptionFile
from engineshed_client.errors import EngineTrouble, Refused, TreeBroken, client_boundary
from engineshed_client.fetch import Portal
from engineshed_client.fsops import find_stat, is_folder
from engineshed_client.health import probe_spec
from engineshed_client.install.inventory import (
    Differences,
    Inventory,
    Pattern,
    manifest_of,
    take_inventory,
)
from engineshed_client.install.trees import find_tree
from engineshed_client.steps.beginning import check_volume
from engineshed_client.steps.context import Context
from engineshed_client.steps.facts import tree_in
from engineshed_client.steps.learning import PutOff, learn
from engineshed_packages.errors import VersionUnreadable
from engineshed_packages.ids import derived_id
from engineshed_packages.manifest import MANIFEST_NAME, Manifest
from engineshed_packages.protocol import Outcome, Report
from engineshed_packages.versions import Version

logger = logging.getLogger(__name__)

KIND = "adopt"
CODE = "adopted"
MANIFEST_MODE = 0o644
MAX_LOGGED = 50  # differences of each kind in update.log; their numbers stand there too


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the inventory found, where one was taken.

    Attributes:
        differences: from the engine's release; None when that is not known.
        guide: the version whose release told what is the vendor's instead.
        unlisted: how many files are in no manifest.
    """

    differences: Differences | None
    guide: Version | None
    unlisted: int

    def summary(self, files: int) -> str:
        """The same in one sentence; *files* are listed as the vendor's."""
        listed = f"{files} files are listed as the vendor's, {self.unlisted} are in no manifest"
        differences = self.differences
        if differences is not None and not differences:
            return f"as released; {listed}"
        if differences is not None:
            changed, missing = len(differences.changed), len(differences.missing)
            return f"{changed} changed and {missing} missing against its release; {listed}"
        told = "" if self.guide is None else f", {self.guide} told what is the vendor's"
        return f"its release is not known here{told}; {listed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """An engine that has a manifest from now on.

    Attributes:
        attempt: under which update.log and the portal know of it.
        files: how many are listed as the vendor's. summary: what was found, in one sentence.
        found: None when a run before this one found it, and was interrupted.
        notes: what else should be known, for people.
    """

    attempt: str
    version: Version
    files: int
    summary: str
    found: Found | None
    notes: tuple[str, ...]


def check_adoptable(engine: Path) -> None:
    """Pass a folder in which an engine lies without a manifest; whose engine that is does not count.

    Raises:
        Refused: codes ``engine-missing``, ``engine-managed``, ``manifest-in-the-way``.
        DiskTrouble: it cannot be told.
    """
    with client_boundary():
        tree = find_tree(engine)
        is_there = is_folder(engine)
        has_manifest = is_there and find_stat(engine / MANIFEST_NAME) is not None
    if tree is not None:
        raise Refused(
            "engine-managed",
            f"{engine} holds {tree.manifest.product} {tree.manifest.version} with its manifest already: "
            "there is nothing to adopt",
        )
    if not is_there:
        raise Refused("engine-missing", f"{engine} is no folder: name the one that holds the engine")
    if has_manifest:
        raise Refused(
            "manifest-in-the-way",
            f"{engine / MANIFEST_NAME} is there and is no manifest of a package: move it away",
        )


def adopt(context: Context, portal: Portal, version: Version) -> Adopted | PutOff:
    """Take over the engine in its folder, which is *version* as the administrator says.

    The caller holds the updater's lock, and has written down that it is wanted (``AdoptionFile``).

    Raises:
        Refused: as ``check_adoptable``, and codes ``two-volumes``, ``version-differs``, ``too-many-files``,
            ``not-adoptable``.
        ContentRefused, SettingsRefused, EnrolmentRefused: as ``learn``.
        DiskTrouble: a file cannot be read, or the manifest not be written.
    """
    pending = AdoptionFile(context.paths, context.fs)
    with client_boundary():
        tree = tree_in(context, context.paths.engine)
    wanted = pending.load()
    if tree is not None and wanted is not None and tree.manifest.version == wanted.version:
        # Killed before it was told of.
        return _conclude(context, wanted.summary, found=None)
    check_adoptable(context.paths.engine)
    check_volume(context)
    pattern = learn(context, portal, version)
    if isinstance(pattern, PutOff):
        return pattern
    _check_version(context, pattern, version)
    with client_boundary():
        inventory = take_inventory(context.paths.engine, pattern)
        manifest = manifest_of(inventory, pattern, version, now=context.now())
    found = _found(inventory, pattern)
    summary = found.summary(len(manifest.shipped()))
    # What was found is written down first: afterwards the engine does not show any more what is its own.
    pending.save(Adoption(version, summary=summary))
    _log_differences(context, _attempt(context, manifest.sha256), found.differences or Differences())
    with client_boundary():
        _write(context, manifest)
    return _conclude(context, summary, found=found)


def _found(inventory: Inventory, pattern: Pattern) -> Found:
    differences = inventory.differences(pattern)
    return Found(
        differences=differences,
        guide=None if pattern.guide is None else pattern.guide.version,
        unlisted=len(inventory.unlisted if differences is None else differences.extra),
    )


def _check_version(context: Context, pattern: Pattern, version: Version) -> None:
    """Ask the engine itself, when it runs and can say it."""
    supervisor = context.supervisor
    if not supervisor.is_running() and not supervisor.leftovers():
        return
    spec = probe_spec(pattern.like.probe, context.settings, context.paths)
    said = context.probe(spec, expected_version=version).version
    if said is None:
        return
    try:
        same = Version.parse(said) == version
    except VersionUnreadable:
        same = False
    if not same:
        raise Refused(
            "version-differs",
            f"the engine that runs says it is version {said}, --version says {version}: give the right one; "
            "nothing was changed",
        )


def _write(context: Context, manifest: Manifest) -> None:
    """Write the manifest, whole or not at all, as the engine's folder's owner would have."""
    engine = context.paths.engine
    owner = find_stat(engine)
    path = engine / MANIFEST_NAME
    context.fs.write_file(path, manifest.to_bytes(), mode=MANIFEST_MODE)
    if owner is not None:
        context.fs.take_owner(path, owner)


def _conclude(context: Context, summary: str, *, found: Found | None) -> Adopted:
    """Tell of it: update.log, the portal, and what the engine's process has to do with it."""
    with client_boundary():
        tree = tree_in(context, context.paths.engine)
    if tree is None:
        raise TreeBroken(
            "manifest-lost", f"the manifest in {context.paths.engine} does not read back: check the disk"
        )
    adopted = Adopted(
        attempt=_attempt(context, tree.manifest_sha256),
        version=tree.manifest.version,
        files=len(tree.manifest.shipped()),
        summary=summary,
        found=found,
        notes=_take_over(context),
    )
    _log(context, adopted)
    _report(context, adopted)
    AdoptionFile(context.paths, context.fs).drop()
    return adopted


def _attempt(context: Context, manifest_sha256: str) -> str:
    """One id for one adoption, however often it is told of."""
    return derived_id("att", context.engine_id or "", KIND, manifest_sha256)


def _take_over(context: Context) -> tuple[str, ...]:
    """Let the supervisor look after the engine when it runs; in words, when there is something to be told."""
    try:
        taken = context.supervisor.take_over()
    except EngineTrouble as err:
        logger.warning("engine not taken over", extra={"code": err.code, "reason": err.message})
        return (err.message,)
    return () if taken is None else (f"the updater looks after {taken} from now on",)


def _log_differences(context: Context, attempt: str, found: Differences) -> None:
    for how, files in (("changed", found.changed), ("missing", found.missing), ("extra", found.extra)):
        for file in files[:MAX_LOGGED]:
            context.log.event(attempt, "DIFFERS", how=how, path=str(file))


def _log(context: Context, adopted: Adopted) -> None:
    if any(line.attempt == adopted.attempt and line.event == "ADOPTED" for line in context.log.read()):
        return
    context.log.event(
        adopted.attempt, "ADOPTED", version=adopted.version, files=adopted.files, message=adopted.summary
    )
    for note in adopted.notes:
        context.log.event(adopted.attempt, "NOTE", message=note)


def _report(context: Context, adopted: Adopted) -> None:
    if context.engine_id is None:
        return
    now = context.now()
    context.outbox.put(
        Report(
            attempt=adopted.attempt,
            engine=context.engine_id,
            product=context.settings.product,
            kind=KIND,
            outcome=Outcome.OK,
            code=CODE,
            message=". ".join((adopted.summary, *adopted.notes)),
            from_version=None,
            to_version=adopted.version,
            version=adopted.version,
            started=now,
            ended=now,
            updater_version=context.updater_version,
            update_log=context.log.lines(adopted.attempt),
        )
    )
