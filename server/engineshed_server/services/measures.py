"""What is measured when somebody asks: the fleet, the vendor's metadata, the disk.

The fleet is one statement whatever its size, and is counted anew at most every few seconds by a process:
however often somebody reads the metrics, the database hardly notices. What cannot be measured is left out;
``/readyz?verbose`` tells why.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

from engineshed_packages.errors import PackagesError
from engineshed_packages.metadata.lives import read_lives
from engineshed_server.db.engines import ENROLLED, WAITING
from engineshed_server.db.fleet_counts import count_engines
from engineshed_server.domain import metrics
from engineshed_server.domain.fleet_counts import EngineGroup, count_by, cut, late_after
from engineshed_server.domain.metrics import Reading
from engineshed_server.errors import TryLater
from engineshed_server.services.portal import Portal
from engineshed_server.services.readiness import check_readiness

KEPT_S = 5.0  # less than any sensible interval of Prometheus
_DAY = timedelta(days=1)
_TOP_LEVEL = frozenset({"root", "timestamp", "snapshot", "targets"})


class Measures:
    """The readings of one portal in one process."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._lock = threading.Lock()
        self._readings: tuple[Reading, ...] = ()
        self._measured_s = float("-inf")

    def readings(self, *, now: datetime) -> tuple[Reading, ...]:
        """All readings, at most a few seconds old."""
        with self._lock:  # who comes meanwhile waits and gets the same
            if time.monotonic() - self._measured_s > KEPT_S:
                self._readings = measure(self._portal, now=now)
                self._measured_s = time.monotonic()
            return self._readings


def measure(portal: Portal, *, now: datetime) -> tuple[Reading, ...]:
    """All readings of this moment."""
    stops = len(portal.snapshot.current().stops)
    return (
        *_fleet(portal, now=now),
        Reading(metrics.EMERGENCY_STOPS, (), stops),
        *_roles(portal, now=now),
        *_disk(portal),
        *(Reading(metrics.CHECK_OK, (one.name,), one.good) for one in check_readiness(portal, now=now)),
    )


def _fleet(portal: Portal, *, now: datetime) -> Iterator[Reading]:
    try:
        with portal.database.read() as session:
            groups = count_engines(session, online_since=now - late_after(portal.settings.poll_s))
    except TryLater:
        return
    cut_groups = cut(groups)
    for group in cut_groups:
        labels = (group.product, group.state, group.version or "", group.channel)
        yield Reading(metrics.ENGINES, labels, group.engines)
    waiting = sum(group.engines for group in cut_groups if group.state == WAITING)
    yield Reading(metrics.ENGINES_WAITING, (), waiting)
    enrolled = [group for group in cut_groups if group.state == ENROLLED]
    for gauge, count in (
        (metrics.ENGINES_ONLINE, _online),
        (metrics.ENGINES_LATE, _late),
        (metrics.ATTEMPTS_OPEN, _at_work),
    ):
        for product, number in count_by(enrolled, count).items():
            yield Reading(gauge, (product,), number)


def _online(group: EngineGroup) -> int:
    return group.online


def _late(group: EngineGroup) -> int:
    return group.engines - group.online


def _at_work(group: EngineGroup) -> int:
    return group.at_work


def _roles(portal: Portal, *, now: datetime) -> Iterator[Reading]:
    try:
        lives = read_lives(portal.metadata.folder)
    except (PackagesError, OSError):
        return
    for life in lives:
        top = life.name in _TOP_LEVEL
        labels = (life.name, "") if top else (metrics.DELEGATED, life.name)
        yield Reading(metrics.ROLE_DAYS_LEFT, labels, round((life.expires - now) / _DAY, 3))


def _disk(portal: Portal) -> Iterator[Reading]:
    try:
        yield Reading(metrics.DISK_FREE_BYTES, (), portal.incoming.free_bytes())
    except (OSError, TryLater):
        return
