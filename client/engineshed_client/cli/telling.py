"""``status`` and ``history``: what is and what was. They read only and need no lock."""

from __future__ import annotations

from dataclasses import dataclass

from engineshed_client.agent.installed import Condition, InstalledEngine
from engineshed_client.cli.frame import Frame
from engineshed_client.cli.output import table
from engineshed_client.enrol import read_credentials
from engineshed_client.errors import client_boundary
from engineshed_client.heard import Heard, HeardFile
from engineshed_client.install.trees import find_tree, list_previous
from engineshed_client.journal import State
from engineshed_client.reports import LogLine
from engineshed_client.reports.log_line import BEGIN, END
from engineshed_client.steps.context import Context
from engineshed_packages import exits
from engineshed_packages.jsontext import Json
from engineshed_packages.protocol import Health, Outcome
from engineshed_packages.times import format_time

NAGIOS_OK, NAGIOS_WARNING, NAGIOS_CRITICAL = 0, 1, 2
_NAGIOS_WORDS = ("OK", "WARNING", "CRITICAL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt as update.log tells it; *end* is None while it is under way."""

    begin: LogLine
    end: LogLine | None

    @property
    def outcome(self) -> str:
        """The word on its END line, or that there is none."""
        return "under way" if self.end is None else self.end.values.get("outcome", "")

    def to_dict(self) -> dict[str, Json]:
        """JSON values."""
        end = {} if self.end is None else self.end.values
        return {
            "attempt": self.begin.attempt,
            "began": format_time(self.begin.at),
            "ended": None if self.end is None else format_time(self.end.at),
            "kind": self.begin.values.get("kind"),
            "from": self.begin.values.get("from"),
            "to": self.begin.values.get("to"),
            "outcome": end.get("outcome"),
            "code": end.get("code"),
            "message": end.get("message"),
        }


def read_attempts(context: Context) -> tuple[Attempt, ...]:
    """The attempts in update.log, oldest first."""
    with client_boundary():
        lines = context.log.read()
    ends = {line.attempt: line for line in lines if line.event == END}
    return tuple(Attempt(begin=line, end=ends.get(line.attempt)) for line in lines if line.event == BEGIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How a base is now.

    *engine* and *portals* are what the engine is known as, and where; *heard* what it was told there last.
    An engine *to_be_adopted* has no manifest yet: its version is what the administrator said.
    """

    product: str
    version: str | None
    condition: Condition
    state: State
    attempt: str | None
    last: Attempt | None
    waiting_reports: int
    previous: tuple[tuple[str, str], ...]
    metadata_issued: str | None
    portals: tuple[str, ...]
    engine: str | None
    heard: Heard | None
    to_be_adopted: bool = False

    def to_dict(self) -> dict[str, Json]:
        """JSON values."""
        return {
            "product": self.product,
            "version": self.version,
            "to_be_adopted": self.to_be_adopted,
            "health": self.condition.health.value,
            "measured_version": self.condition.measured_version,
            "state": self.state.value,
            "attempt": self.attempt,
            "last_attempt": None if self.last is None else self.last.to_dict(),
            "waiting_reports": self.waiting_reports,
            "previous": [{"folder": folder, "version": version} for folder, version in self.previous],
            "metadata_issued": self.metadata_issued,
            "portals": list(self.portals),
            "engine": self.engine,
            "portal_says": None if self.heard is None else _heard_values(self.heard),
        }

    def lines(self) -> tuple[str, ...]:
        """For people."""
        last = "none" if self.last is None else _told(self.last)
        kept = ", ".join(f"{version} in {folder}" for folder, version in self.previous) or "none"
        portal = "not enrolled" if self.engine is None else f"{', '.join(self.portals)}, as {self.engine}"
        under_way = "" if self.attempt is None else f", attempt {self.attempt}"
        adoption = " (not adopted yet)" if self.to_be_adopted else ""
        return (
            f"engine:    {self.product} {self.version or 'not installed'}{adoption}, {self.condition.health}",
            f"updater:   {self.state}{under_way}",
            f"last:      {last}",
            f"previous:  {kept}",
            f"reports:   {self.waiting_reports} waiting",
            f"metadata:  {self.metadata_issued or 'none verified yet'}",
            f"portal:    {portal}",
            f"it says:   {'nothing yet' if self.heard is None else _said(self.heard)}",
        )

    def nagios(self) -> tuple[int, str]:
        """Plugin state and the plugin's one line with its figures."""
        outcome = None if self.last is None or self.last.end is None else self.last.outcome
        level = NAGIOS_OK
        is_asked = self.heard is not None and self.heard.is_news
        if outcome not in (None, Outcome.OK) or is_asked:
            level = NAGIOS_WARNING
        if self.version is None or self.condition.health is Health.BAD or outcome == Outcome.BROKEN:
            level = NAGIOS_CRITICAL
        text = f"{self.product} {self.version or 'not installed'}, {self.condition.health}, {self.state}"
        if self.heard is not None and self.heard.is_news:
            text += f", portal says {self.heard.code}"
        return level, f"ENGINESHED {_NAGIOS_WORDS[level]} - {text} | waiting_reports={self.waiting_reports}"


def _said(heard: Heard) -> str:
    what = "nothing" if heard.away else heard.code
    return f"{what} since {format_time(heard.since)}: {heard.text}"


def _heard_values(heard: Heard) -> dict[str, Json]:
    since = format_time(heard.since)
    return {"code": heard.code, "message": heard.text, "since": since, "away": heard.away}


def _told(attempt: Attempt) -> str:
    values = attempt.begin.values
    when = format_time(attempt.begin.at if attempt.end is None else attempt.end.at)
    end = {} if attempt.end is None else attempt.end.values
    why = f" ({end.get('code')}: {end['message']})" if end.get("message") else ""
    return f"{when} {values.get('from')} -> {values.get('to')} {attempt.outcome}{why}"


def read_status(context: Context) -> Status:
    """Look at the base.

    Raises:
        DiskTrouble, NewerSchema: it cannot be told.
    """
    installed = InstalledEngine(context.paths, context.settings, context.supervisor)
    journal, attempts = context.journals.load(), read_attempts(context)
    credentials = read_credentials(context.paths)
    version, issued = installed.version(), context.seen.load().metadata.newest_date
    with client_boundary():
        trees = [find_tree(folder) for folder in list_previous(context.paths)]
        is_managed = find_tree(context.paths.engine) is not None
    return Status(
        product=context.settings.product,
        version=None if version is None else version.text,
        condition=installed.condition(),
        state=State.IDLE if journal is None else journal.state,
        attempt=None if journal is None else journal.attempt,
        last=attempts[-1] if attempts else None,
        waiting_reports=context.outbox.waiting(),
        previous=tuple((tree.folder.name, tree.manifest.version.text) for tree in trees if tree is not None),
        metadata_issued=None if issued is None else format_time(issued),
        portals=() if credentials is None else tuple(context.settings.portals or credentials.portals),
        engine=None if credentials is None else credentials.engine,
        to_be_adopted=not is_managed and installed.adoption() is not None,
        heard=None if credentials is None else HeardFile(context.paths, context.fs).load(),
    )


def run_status(frame: Frame) -> int:
    """How the engine and its updater are."""
    status = read_status(frame.open_base())
    if frame.arguments.nagios:
        level, line = status.nagios()
        print(line)
        return level
    frame.output.result(status.to_dict(), *status.lines())
    return exits.DONE


def run_history(frame: Frame) -> int:
    """The attempts of this base, oldest first."""
    attempts = read_attempts(frame.open_base())
    rows = [
        [
            format_time(one.begin.at),
            one.begin.attempt,
            one.begin.values.get("kind", ""),
            one.begin.values.get("from", ""),
            one.begin.values.get("to", ""),
            one.outcome,
            "" if one.end is None else one.end.values.get("code", ""),
            "" if one.end is None else one.end.values.get("message", ""),
        ]
        for one in attempts
    ]
    titles = ("BEGAN", "ATTEMPT", "KIND", "FROM", "TO", "OUTCOME", "CODE", "MESSAGE")
    frame.output.result({"attempts": [one.to_dict() for one in attempts]}, *table(titles, rows))
    return exits.DONE
