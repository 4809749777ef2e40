"""``audit``: who changed what, when, from where."""

from __future__ import annotations

import json

import click

from engineshed_packages.jsontext import Json
from engineshed_packages.times import format_time
from engineshed_server.api.schemas.audit import AuditEntrySchema
from engineshed_server.cli.opening import opened
from engineshed_server.cli.options import with_settings
from engineshed_server.cli.output import print_json, print_table
from engineshed_server.domain.filters import AuditFilter
from engineshed_server.services.audit import AuditEntry, list_audit
from engineshed_server.settings import Settings

PAGE = 500


@click.group()
def audit() -> None:
    """Who changed what, when, from where."""


@audit.command("list")
@click.option("--subject", help="Only changes of this; an engine's id: also of its orders and attempts.")
@click.option("--actor", help="Only changes by this one: cli, user:NAME, token:ID, an engine's id.")
@click.option("--action", help="Only changes of this kind, as engine-revoked.")
@click.option(
    "--last", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="At most so many."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def list_command(
    settings: Settings,
    *,
    subject: str | None,
    actor: str | None,
    action: str | None,
    last: int,
    as_json: bool,
) -> None:
    """List changes, the newest first, each with what was before and after it."""
    wanted = AuditFilter(subject=subject, actor=actor, action=action)
    found: list[AuditEntry] = []
    with opened(settings) as portal:
        page = list_audit(portal, wanted, limit=min(last, PAGE))
        found += page.entries
        while page.after is not None and len(found) < last:
            page = list_audit(portal, wanted, limit=min(last - len(found), PAGE), after=page.after)
            found += page.entries
    if as_json:
        entries: list[Json] = [AuditEntrySchema.write(one) for one in found]
        print_json({"entries": entries})
        return
    rows = [(format_time(one.at), one.actor, one.address, one.action, one.subject) for one in found]
    print_table(("at", "actor", "address", "action", "subject"), rows, notes=[_notes(one) for one in found])


def _notes(one: AuditEntry) -> list[str]:
    told = [("details", one.details or None), ("before", one.before), ("after", one.after)]
    return [f"{name}: {json.dumps(dict(value))}" for name, value in told if value is not None]
