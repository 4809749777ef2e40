"""The agent: polls, judges orders, runs the machine, tells, waits."""

from __future__ import annotations

from engineshed_client.agent.cycle import Cycle, Done, Event, Parts
from engineshed_client.agent.loop import Stop, run
from engineshed_client.agent.own_updating import OwnUpdate
from engineshed_client.agent.wiring import connect, host_clock, open_base

__all__ = [
    "Cycle",
    "Done",
    "Event",
    "OwnUpdate",
    "Parts",
    "Stop",
    "connect",
    "host_clock",
    "open_base",
    "run",
]
