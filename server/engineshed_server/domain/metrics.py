"""What is measured: the one table of counters and gauges, and how the rest of the server counts.

    portal.meters.count(metrics.POLLS, "order", "offer")

Names follow the conventions of Prometheus: one prefix, base units, ``_total`` for what only grows. Every
label takes few values: constants of ours, or what ``domain.fleet_counts`` has cut to the most frequent. What
a peer says never becomes a label by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Counter:
    """What only grows. ``known`` are values of its labels that are told with 0 before the first time."""

    name: str
    about: str
    labels: tuple[str, ...] = ()
    known: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gauge:
    """What is as it is at the moment of asking."""

    name: str
    about: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """The value of *gauge* for *labels*, which are in the gauge's order."""

    gauge: Gauge
    labels: tuple[str, ...]
    value: float


class Cell(Protocol):
    """One series of a process: for what is counted so often that looking it up would be felt."""

    def add(self, by: int = 1) -> None:
        """Count."""


class Meters(Protocol):
    """Where a process counts, and what it tells of all processes of the portal."""

    def count(self, counter: Counter, /, *labels: str, by: int = 1) -> None:
        """Add *by* to *counter* for *labels*, which are in the counter's order; cheap, and never fails."""

    def cell(self, counter: Counter, /, *labels: str) -> Cell:
        """Where ``count`` with the same arguments counts; good until ``close``."""

    def expose(self, readings: Sequence[Reading]) -> bytes:
        """All counters of all processes and *readings*, in the text format of Prometheus.

        Raises:
            TryLater: codes ``metrics-busy``, ``storage-failed``.
        """

    def close(self) -> None:
        """Let go of what is open; what was counted stays."""


# --- values of labels ---------------------------------------------------------------------------------------
NO_NEWS = "no-news"
ORDER = "order"
REFUSED = "refused"
PORTAL = "portal"  # sent by this server
FRONT = "front"  # by the web server in front, X-Accel-Redirect
WHOLE = "whole"
PART = "part"
TUS = "tus"
PUT = "put"
NO_ROUTE = "none"
DELEGATED = "delegated"  # the role of a product

POLLS = Counter(
    name="engineshed_polls_total",
    about="Polls of engines by what they heard: no-news, order or refused, and the code of the answer.",
    labels=("outcome", "code"),
)
ATTEMPTS = Counter(
    name="engineshed_attempts_total",
    about="Attempts that ended, by the outcome in their final report; each counts once.",
    labels=("outcome",),
    known=(("OK",), ("ABORTED",), ("ROLLED_BACK",), ("BROKEN",)),
)
DOWNLOADS = Counter(
    name="engineshed_downloads_total",
    about="Answers with a package or a part of it, by who sends the bytes: portal or front, the web server.",
    labels=("sender", "part"),
    known=((PORTAL, WHOLE), (PORTAL, PART), (FRONT, WHOLE), (FRONT, PART)),
)
DOWNLOAD_BYTES = Counter(
    name="engineshed_download_bytes_total",
    about="Bytes of packages in these answers; of one that is cut on the way the peer has fewer.",
    labels=("sender",),
    known=((PORTAL,), (FRONT,)),
)
UPLOAD_BYTES = Counter(
    name="engineshed_upload_bytes_total",
    about="Bytes of bundles that arrived: durable pieces of tus uploads, and bodies of simple ones.",
    labels=("way",),
    known=((TUS,), (PUT,)),
)
UPLOADS_REFUSED = Counter(
    name="engineshed_uploads_refused_total",
    about="Requests with bytes of a bundle, or announcing one, that were refused, by the problem's code.",
    labels=("code",),
)
INGESTS = Counter(
    name="engineshed_ingests_total",
    about="Bundles that were taken in (published, unchanged), or why one was not.",
    labels=("code",),
    known=(("published",), ("unchanged",)),
)
REQUESTS = Counter(
    name="engineshed_http_requests_total",
    about="HTTP requests but polls, by route, method and class of the status.",
    labels=("route", "method", "status"),
)
FAILED_TURNS = Counter(
    name="engineshed_background_failures_total",
    about="Turns of the threads beside the requests that failed, and were tried again.",
    labels=("turn",),
)
COUNTERS = (
    *(POLLS, ATTEMPTS, DOWNLOADS, DOWNLOAD_BYTES, UPLOAD_BYTES, UPLOADS_REFUSED, INGESTS, REQUESTS),
    FAILED_TURNS,
)

WORKERS = Gauge(name="engineshed_workers", about="Web server processes that count.")
ENGINES = Gauge(
    name="engineshed_engines",
    about="Engines by what the portal knows of them; rare products, versions and channels are other.",
    labels=("product", "state", "version", "channel"),
)
ENGINES_WAITING = Gauge(name="engineshed_engines_waiting", about="Engines that wait for an admin's approval.")
ENGINES_ONLINE = Gauge(
    name="engineshed_engines_online", about="Enrolled engines heard of lately.", labels=("product",)
)
ENGINES_LATE = Gauge(
    name="engineshed_engines_late",
    about="Enrolled engines not heard of for half an hour, or three polls where that is longer.",
    labels=("product",),
)
ATTEMPTS_OPEN = Gauge(
    name="engineshed_attempts_open", about="Enrolled engines at work on an attempt.", labels=("product",)
)
EMERGENCY_STOPS = Gauge(name="engineshed_emergency_stops", about="Emergency stops that are on.")
ROLE_DAYS_LEFT = Gauge(
    name="engineshed_tuf_role_days_left",
    about="Days until a role of the vendor's published metadata expires; below zero since it has.",
    labels=("role", "product"),
)
DISK_FREE_BYTES = Gauge(name="engineshed_disk_free_bytes", about="Free space of the data folder's volume.")
CHECK_OK = Gauge(
    name="engineshed_check_ok",
    about="What /readyz?verbose looks at: 1 when it is as it should be, else 0.",
    labels=("check",),
)
GAUGES = (
    *(WORKERS, ENGINES, ENGINES_WAITING, ENGINES_ONLINE, ENGINES_LATE, ATTEMPTS_OPEN, EMERGENCY_STOPS),
    *(ROLE_DAYS_LEFT, DISK_FREE_BYTES, CHECK_OK),
)
