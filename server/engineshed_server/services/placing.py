"""Groups and channels: made, forgotten when nobody is in them, and engines moved from one to another.

A name need not be made before engines are in it: a token may let them join a group that nobody made, and
releases say their channel themselves. What is made is offered where an engine is moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from engineshed_packages.target import DEFAULT_CHANNEL, check_channel
from engineshed_server.db import places
from engineshed_server.db.audit import add_audit
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.groups import check_group
from engineshed_server.errors import Conflict, NotFound, format_boundary
from engineshed_server.services.engine_edits import EngineChange, change_engines
from engineshed_server.services.enrol_tokens import DEFAULT_GROUP
from engineshed_server.services.portal import Portal
from engineshed_server.services.racing import run_again_when_raced


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLine:
    """A group, and how many engines are in it."""

    name: str
    engines: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelLine:
    """A channel, how many engines follow it, and how many releases are in it."""

    name: str
    engines: int
    releases: int


def list_groups(portal: Portal) -> tuple[GroupLine, ...]:
    """All groups, by name."""
    with portal.database.read() as session:
        counts = {DEFAULT_GROUP: 0} | places.count_groups(session)
    return tuple(GroupLine(name=name, engines=count) for name, count in sorted(counts.items()))


def list_channels(portal: Portal) -> tuple[ChannelLine, ...]:
    """All channels, by name: those that were made, that engines follow, and that releases are in."""
    releases: dict[str, set[tuple[str, str]]] = {DEFAULT_CHANNEL: set()}
    for found in portal.snapshot.current().candidates.values():
        for one in found:
            known = releases.setdefault(one.target.channel, set())
            known.add((one.target.product, one.target.version.text))
    with portal.database.read() as session:
        counts = dict.fromkeys(releases, 0) | places.count_channels(session)
    return tuple(
        ChannelLine(name=name, engines=count, releases=len(releases.get(name, ())))
        for name, count in sorted(counts.items())
    )


def create_group(portal: Portal, name: str, *, actor: Actor, now: datetime) -> None:
    """Make a group.

    Raises:
        Refused: code ``group-name``. Conflict: code ``group-exists``.
    """
    check_group(name)
    run_again_when_raced(lambda: _create_group(portal, name, actor=actor, now=now))


def _create_group(portal: Portal, name: str, *, actor: Actor, now: datetime) -> None:
    with portal.database.write() as session:
        if name in places.count_groups(session) or not places.add_group(session, name, now=now):
            raise Conflict("group-exists", f"there is a group {name} already: move engines into it")
        add_audit(session, "group-created", subject=name, actor=actor, now=now)


def create_channel(portal: Portal, name: str, *, actor: Actor, now: datetime) -> None:
    """Make a channel, which engines may follow before a release is in it.

    Raises:
        Refused: code ``channel-name``. Conflict: code ``channel-exists``.
    """
    with format_boundary():
        check_channel(name)
    run_again_when_raced(lambda: _create_channel(portal, name, actor=actor, now=now))


def _create_channel(portal: Portal, name: str, *, actor: Actor, now: datetime) -> None:
    with portal.database.write() as session:
        if name in places.count_channels(session) or not places.add_channel(session, name, now=now):
            raise Conflict("channel-exists", f"there is a channel {name} already: let engines follow it")
        add_audit(session, "channel-created", subject=name, actor=actor, now=now)


def forget_group(portal: Portal, name: str, *, actor: Actor, now: datetime) -> None:
    """Forget a group that nobody is in.

    Raises:
        NotFound: code ``group-unknown``. Conflict: code ``group-in-use``.
    """
    with portal.database.write() as session:
        engines = places.count_groups(session).get(name)
        if engines is None:
            raise NotFound("group-unknown", f"there is no group {name[:80]!r}")
        if engines:
            raise Conflict("group-in-use", f"{engines} engines are in group {name}: move them first")
        places.drop_group(session, name)
        add_audit(session, "group-forgotten", subject=name, actor=actor, now=now)


def forget_channel(portal: Portal, name: str, *, actor: Actor, now: datetime) -> None:
    """Forget a channel that no engine follows.

    Raises:
        NotFound: code ``channel-unknown``. Conflict: code ``channel-in-use``.
    """
    with portal.database.write() as session:
        engines = places.count_channels(session).get(name)
        if engines is None:
            raise NotFound("channel-unknown", f"there is no channel {name[:80]!r} that somebody made")
        if engines:
            raise Conflict("channel-in-use", f"{engines} engines follow channel {name}: move them first")
        places.drop_channel(session, name)
        add_audit(session, "channel-forgotten", subject=name, actor=actor, now=now)


def move_group(portal: Portal, name: str, *, change: EngineChange, actor: Actor, now: datetime) -> int:
    """Carry out *change* on all engines of a group; how many differ from before.

    Raises:
        Refused: code ``engines-too-many``.
    """
    with portal.database.read() as session:
        members = places.list_members(session, group=name)
    return change_engines(portal, members, change=change, actor=actor, now=now)


def move_channel(portal: Portal, name: str, *, change: EngineChange, actor: Actor, now: datetime) -> int:
    """Carry out *change* on all engines that follow a channel; how many differ from before.

    Raises:
        Refused: code ``engines-too-many``.
    """
    with portal.database.read() as session:
        members = places.list_members(session, channel=name)
    return change_engines(portal, members, change=change, actor=actor, now=now)
