"""STAGING and STAGED: the new engine is put together and proven while the old one runs."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

from engineshed_client.errors import DiskTrouble, EngineTrouble, PortalUnavailable, Refused, TreeBroken
from engineshed_client.health import probe_spec
from engineshed_client.install.plan import Plan, Rules, check_plan, check_rights, plan_carry, plan_first
from engineshed_client.install.staging import Stage, read_back
from engineshed_client.install.trees import Tree
from engineshed_client.journal import Journal
from engineshed_client.steps.context import Context, Event, Result, Word
from engineshed_client.steps.facts import clear_own_staged, tree_in
from engineshed_client.steps.fetching import target_of
from engineshed_packages.archive import open_archive
from engineshed_packages.manifest import FileClass, check_package

_CARRY_MARGIN_BYTES = 1024 * 1024


def staging(context: Context, journal: Journal) -> Result:
    """Unpack the package, or copy the kept version, into ``staged/`` and read it back."""
    clear_own_staged(context, journal)
    live = None if journal.origin is None else context.paths.engine
    stage = Stage(context.fs, context.paths.staged, live)
    if journal.goal.folder is not None:
        tree = tree_in(context, context.paths.base / journal.goal.folder)
        if tree is None or tree.manifest_sha256 != journal.goal.manifest_sha256:
            raise Refused("no-previous", f"{journal.goal.folder} is not {journal.goal.version} any more")
        _check_space(context, tree.manifest.disk_bytes)
        stage.copy_version(tree)
        entries = tree.manifest.shipped()
    else:
        target = target_of(journal)
        with open_archive(context.paths.part(target.sha256)) as archive:
            manifest = check_package(archive, target)
            stage.unpack(archive, manifest)
        entries = manifest.files
    read_back(context.paths.staged, entries)
    return Event.DONE, journal


def staged(context: Context, journal: Journal) -> Result:
    """Ask whether the engine may be stopped, then look at everything once more that could stop the update."""
    word = _ask_gate(context, journal)
    if word is Word.WAIT:
        return Event.WAIT, journal
    tree = staged_tree(context, journal)
    read_back(tree.folder, (one for one in tree.manifest.files if one.file_class is FileClass.SHIPPED))
    probe_spec(tree.manifest.probe, context.settings, context.paths)
    plan, rules = plan_for(context, journal, tree)
    if rules is not None:
        check_plan(plan, rules)
    if sys.platform != "win32" and os.geteuid() != 0:
        check_rights(plan, user=os.geteuid(), groups={os.getegid(), *os.getgroups()})
    _check_space(context, plan.total_bytes + plan.total_bytes // 10 + _CARRY_MARGIN_BYTES)
    running = context.supervisor.is_running()
    if running or journal.origin is None:
        context.supervisor.check()
    foreign = () if running else context.supervisor.leftovers()
    if foreign:
        raise EngineTrouble(
            "engine-foreign",
            f"the updater did not start the engine, but {'; '.join(foreign[:3])} holds on to it: end that",
        )
    if journal.origin is None:
        # Nobody ever stopped an engine that never was: a first installation is started and probed.
        return Event.DONE, replace(journal, was_running=True)
    live = tree_in(context, context.paths.engine)
    problems = () if live is None else live.problems()
    if problems:
        context.log.event(journal.attempt, "CHANGED", files=len(problems), first=problems[0])
    origin = replace(journal.origin, problems=problems)
    return Event.DONE, replace(journal, origin=origin, was_running=running)


def _ask_gate(context: Context, journal: Journal) -> Word:
    if journal.order is None:
        return Word.GO
    if context.gate is None:
        return Word.WAIT
    try:
        clearance = context.gate.ask(journal, context.now())
    except PortalUnavailable:
        return Word.WAIT
    if clearance.word is Word.CANCEL:
        raise Refused(clearance.code, clearance.message)
    return clearance.word


def staged_tree(context: Context, journal: Journal) -> Tree:
    """The engine in ``staged/``, which must be the one the attempt wants.

    Raises:
        TreeBroken: code ``staged-missing``.
    """
    tree = tree_in(context, context.paths.staged)
    if tree is None or tree.manifest_sha256 != journal.goal.manifest_sha256:
        raise TreeBroken("staged-missing", f"{context.paths.staged} does not hold {journal.goal.version}")
    return tree


def plan_for(context: Context, journal: Journal, tree: Tree) -> tuple[Plan, Rules | None]:
    """What goes along from the live engine into the staged *tree*; no rules for a first installation.

    Raises:
        TreeBroken: code ``engine-missing``.
    """
    if journal.origin is None:
        return plan_first(context.paths.ext_lib), None
    live = tree_in(context, context.paths.engine)
    if live is None:
        raise TreeBroken("engine-missing", f"{context.paths.engine} does not hold {journal.origin.version}")
    settings = context.settings
    new = tree.manifest
    if journal.goal.folder is not None:
        # Of a kept version only what it shipped was staged: its defaults became the customer's long ago.
        new = replace(new, files=new.shipped())
    rules = Rules(
        old=live.manifest,
        new=new,
        unlisted=settings.unlisted,
        outside=settings.runtime_outside,
    )
    return plan_carry(live.folder, rules, context.paths.ext_lib), rules


def _check_space(context: Context, needed: int) -> None:
    free = context.fs.free_bytes(context.paths.work)
    if free < needed:
        raise DiskTrouble(
            "disk-full", f"{context.paths.work} has {free} bytes free, {needed} are needed: make room"
        )
