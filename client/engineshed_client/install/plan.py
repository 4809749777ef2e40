"""What goes along from the live engine into the new one: decided from names and digests, nothing written.

Files of an engine are shipped (the manifest's), kept (the customer's), runtime (the engine's own) or
unlisted (nobody declared them). Kept and runtime files go along; unlisted ones as the administrator says.
A path belongs to the customer when the old or the new manifest, or the administrator, says so.

Where both sides want a name, nothing of either is lost:

- the vendor's default of a kept file changed, and the live file differs: the default lies beside it as
  ``<name>.new``; a default the customer had removed stays removed;
- the new version ships a file where the customer has one of his own: his lies beside it as
  ``<name>.saved``.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from engineshed_client.errors import Refused
from engineshed_client.fsops import find_stat
from engineshed_client.install.files import Found, Shape, sha256_no_follow, walk
from engineshed_packages.manifest import FileClass, FileEntry, Manifest, matches

NEW_SUFFIX = ".new"
SAVED_SUFFIX = ".saved"
OVERLAY = "ext/lib"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that goes along, to *destination* in the new tree."""

    found: Found
    file_class: FileClass
    destination: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """A vendor's default that makes room for the customer's own and lies at *destination*."""

    entry: FileEntry
    destination: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done to the staged tree, in this order.

    Attributes:
        removed: defaults the customer had removed.
        aside: changed defaults, which lie beside the customer's own.
        items: what is copied; folders only where they are empty, others come with their content.
        overlay: what the administrator wants in ``ext/lib``, in place of what is there.
        unlisted: paths in no manifest. ignored: sockets and the like, which cannot be copied.
        owners: (user, group) of everything in the live engine; the new one gets the same.
    """

    removed: tuple[str, ...]
    aside: tuple[Aside, ...]
    items: tuple[Item, ...]
    overlay: tuple[Item, ...]
    unlisted: tuple[str, ...]
    ignored: tuple[str, ...]
    owners: frozenset[tuple[int, int]] = frozenset()

    @property
    def total_bytes(self) -> int:
        """What the copies take on the disk."""
        copies = (*self.items, *self.overlay)
        return sum(item.found.status.st_size for item in copies if item.found.shape is Shape.FILE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Whose a path is, by both manifests.

    Attributes:
        old, new: with the administrator's patterns applied (``trees.with_kept``).
        unlisted: ``carry``, ``refuse`` or ``leave``, for files in no manifest.
        outside: patterns of runtime files that live elsewhere and stay behind.
    """

    old: Manifest
    new: Manifest
    unlisted: str = "carry"
    outside: tuple[str, ...] = ()

    def classify(self, path: str) -> FileClass:
        """Whose the live file at *path* is."""
        words = (self.old.classify(path), self.new.classify(path))
        for word in (FileClass.KEPT, FileClass.RUNTIME):
            if word in words:
                return word
        # What only the new version ships is, in the live engine, nobody's yet.
        return words[0]

    def class_of(self, found: Found) -> FileClass:
        """Whose *found* is; a folder or link also belongs to whom the pattern of its content names."""
        word = self.classify(found.relative)
        if word is FileClass.UNLISTED and found.shape is not Shape.FILE:
            return self.classify(found.relative + "/")
        return word

    def stays(self, found: Found, word: FileClass) -> bool:
        """True when *found* does not go along."""
        if word is FileClass.SHIPPED:
            return True
        if word is FileClass.UNLISTED:
            return self.unlisted == "leave"
        is_outside = word is FileClass.RUNTIME and matches(found.relative, self.outside)
        return is_outside and found.shape is not Shape.LINK  # the link to the outside goes along


def plan_carry(live: Path, rules: Rules, overlay: Path) -> Plan:
    """Decide what goes along from the engine in *live*.

    Args:
        overlay: the administrator's folder of external libraries; it may be absent.

    Raises:
        OSError: something in the live engine cannot be looked at.
    """
    found = {one.relative: one for one in walk(live)}
    removed, aside = _defaults(found, rules)
    names = _Names(rules, taken=frozenset(found))
    items, unlisted, ignored = [], [], []
    filled = {path.rpartition("/")[0] for path in found}
    superseded = {one.destination for one in aside}
    for one in found.values():
        word = rules.class_of(one)
        if one.shape is Shape.OTHER:
            ignored.append(one.relative)
            continue
        if one.relative in superseded or (one.shape is Shape.FOLDER and one.relative in filled):
            continue
        if word is FileClass.UNLISTED and one.shape is not Shape.FOLDER:
            unlisted.append(one.relative)
        destination = None if rules.stays(one, word) else names.destination(one)
        if destination is not None:
            items.append(Item(found=one, file_class=word, destination=destination))
    return Plan(
        removed=removed,
        aside=aside,
        items=tuple(items),
        overlay=_overlay(overlay),
        unlisted=tuple(unlisted),
        ignored=tuple(ignored),
        owners=frozenset((one.status.st_uid, one.status.st_gid) for one in found.values()),
    )


def plan_first(overlay: Path) -> Plan:
    """What goes into a first installation: only what the administrator wants in ``ext/lib``."""
    return Plan(removed=(), aside=(), items=(), overlay=_overlay(overlay), unlisted=(), ignored=())


def check_plan(plan: Plan, rules: Rules) -> None:
    """Find before the engine is stopped what would end the update afterwards.

    Raises:
        Refused: codes ``unlisted-files``, ``link-in-the-way``.
    """
    if plan.unlisted and rules.unlisted == "refuse":
        raise Refused(
            "unlisted-files",
            f"{len(plan.unlisted)} files in the engine stand in no manifest "
            f"({', '.join(plan.unlisted[:5])}): remove them, declare them as kept in updater.toml, "
            "or set unlisted to carry or leave",
        )
    blocked = {item.destination for item in plan.items if item.found.shape is not Shape.FOLDER}
    if plan.overlay and blocked.intersection(("ext", OVERLAY)):
        raise Refused(
            "link-in-the-way",
            f"{OVERLAY} in the engine is no folder, but update/{OVERLAY} must go there: empty one of them",
        )


def check_rights(plan: Plan, *, user: int, groups: Collection[int]) -> None:
    """Find before the engine is stopped whether an updater that is not root may do what *plan* says.

    Raises:
        Refused: code ``rights-lacking``.
    """
    foreign = sorted(f"{uid}:{gid}" for uid, gid in plan.owners if uid != user or gid not in groups)
    secret = [
        item.found.relative
        for item in (*plan.items, *plan.overlay)
        if item.found.shape is Shape.FILE and not os.access(item.found.path, os.R_OK)
    ]
    if foreign or secret:
        raise Refused(
            "rights-lacking",
            f"the updater runs as user {user} and cannot give files in the engine back to their owners "
            f"({', '.join(foreign[:5]) or 'none'}) or cannot read them ({', '.join(secret[:5]) or 'none'}): "
            "run it as root, or make everything in the engine its own",
        )


def _defaults(found: Mapping[str, Found], rules: Rules) -> tuple[tuple[str, ...], tuple[Aside, ...]]:
    """Which defaults of the new version are removed, and which lie beside what the customer has."""
    removed, aside = [], []
    for entry in rules.new.files:
        if entry.file_class is FileClass.SHIPPED:
            continue
        live, before = found.get(entry.path), rules.old.find(entry.path)
        obstacle = _obstacle(entry.path, found)
        if live is None and before is None and obstacle is None:
            continue  # a new default, and nothing in its way
        is_file = live is not None and live.shape is Shape.FILE
        changed = before is None or before.sha256 != entry.sha256
        differs = live is None or not is_file or sha256_no_follow(live.path) != entry.sha256
        if entry.file_class is FileClass.KEPT and changed and differs:
            top = entry.path if obstacle is None else obstacle
            aside.append(Aside(entry=entry, destination=top + NEW_SUFFIX + entry.path[len(top) :]))
        elif not is_file:
            removed.append(entry.path)
    return tuple(removed), tuple(aside)


def _obstacle(path: str, found: Mapping[str, Found]) -> str | None:
    """The first part of *path* above its end that is something else than a folder in the live engine."""
    for end, letter in enumerate(path):
        above = found.get(path[:end]) if letter == "/" else None
        if above is not None and above.shape is not Shape.FOLDER:
            return above.relative
    return None


class _Names:
    """Where things go in the new tree; the vendor's shipped files have their names first."""

    def __init__(self, rules: Rules, taken: frozenset[str]) -> None:
        self._rules = rules
        self._shipped = {entry.path: entry for entry in rules.new.shipped()}
        self._folders = {
            path[:end] for path in self._shipped for end, letter in enumerate(path) if letter == "/"
        }
        self._taken = taken.union(entry.path for entry in rules.new.files)

    def destination(self, found: Found) -> str | None:
        """The name of *found* in the new tree; None when it is the vendor's own file and not needed."""
        path = found.relative
        if path in self._shipped:
            return None if self._is_vendors(found) else self._saved(path)
        if path in self._folders and found.shape is not Shape.FOLDER:
            return self._saved(path)
        for end, letter in enumerate(path):
            if letter == "/" and path[:end] in self._shipped:
                return self._saved(path[:end]) + path[end:]
        return path

    def _is_vendors(self, found: Found) -> bool:
        if found.shape is not Shape.FILE:
            return False
        before = self._rules.old.find(found.relative)
        known = {self._shipped[found.relative].sha256, *(() if before is None else (before.sha256,))}
        return sha256_no_follow(found.path) in known

    def _saved(self, path: str) -> str:
        name = path + SAVED_SUFFIX
        while name in self._taken:
            name += SAVED_SUFFIX
        return name


def _overlay(folder: Path) -> tuple[Item, ...]:
    if find_stat(folder) is None:
        return ()
    return tuple(
        Item(found=one, file_class=FileClass.KEPT, destination=f"{OVERLAY}/{one.relative}")
        for one in walk(folder)
        if one.shape in (Shape.FILE, Shape.LINK)
    )
