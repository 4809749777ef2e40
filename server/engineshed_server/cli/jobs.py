"""``job``: what is being worked on, what became of it, and asking for more."""

from __future__ import annotations

import click

from engineshed_packages.times import format_time
from engineshed_server.api.schemas.jobs import JobDetailSchema, JobSchema
from engineshed_server.cli.opening import opened
from engineshed_server.cli.options import ACTOR, now, with_settings
from engineshed_server.cli.output import print_data, print_json, print_table, talk
from engineshed_server.db.jobs import JobRecord
from engineshed_server.domain.jobs import CANCELLED, STATES
from engineshed_server.jobs.app import make_app
from engineshed_server.jobs.bell import CeleryBell
from engineshed_server.services.jobs.requesting import cancel_job, list_jobs, request_job, show_job
from engineshed_server.services.jobs.upkeep import KINDS
from engineshed_server.settings import Settings


@click.group()
def job() -> None:
    """Work that the portal does in the background."""


@job.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only jobs in this state.")
@click.option("--kind", type=click.Choice(sorted(KINDS)), help="Only jobs of this kind.")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="The newest so many."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def list_command(settings: Settings, state: str | None, kind: str | None, limit: int, as_json: bool) -> None:
    """List jobs, the newest first."""
    with opened(settings) as portal:
        found = list_jobs(portal, states=() if state is None else (state,), kind=kind, limit=limit)
    if as_json:
        print_json({"jobs": [JobSchema.write(one) for one in found]})
        return
    titles = ("job", "kind", "state", "done", "tries", "created", "ended", "error")
    print_table(titles, [_row(one) for one in found])


def _row(one: JobRecord) -> tuple[str | None, ...]:
    ended = None if one.ended is None else format_time(one.ended)
    tries, done = str(one.attempt), f"{one.progress} %"
    return one.job_id, one.kind, one.state, done, tries, format_time(one.created), ended, one.error_code


@job.command("show")
@click.argument("job_id", metavar="JOB")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def show_command(settings: Settings, job_id: str, as_json: bool) -> None:
    """Show a job and the last lines it wrote."""
    with opened(settings) as portal:
        detail = show_job(portal, job_id)
    if as_json:
        print_json(JobDetailSchema.write(detail))
        return
    one = detail.job
    print_data(f"{one.job_id} {one.kind}: {one.state}, {one.progress} %, try {one.attempt}")
    if one.error is not None:
        print_data(f"last error: {one.error_code}: {one.error}")
    for line in detail.lines:
        print_data(f"{format_time(line.written)} {line.level.upper()} {line.text}")


@job.command("run")
@click.argument("kind", type=click.Choice(sorted(KINDS)))
@with_settings
def run_command(settings: Settings, kind: str) -> None:
    """Let a job be done now by whichever worker is free; prints its id."""
    bell = CeleryBell(make_app(settings), KINDS)
    with opened(settings) as portal:
        asked = request_job(portal, kind, kinds=KINDS, bell=bell, actor=ACTOR, now=now())
    talk("asked for; see `engineshed-server job show` with this id:")
    print_data(asked.job_id)


@job.command("cancel")
@click.argument("job_id", metavar="JOB")
@with_settings
def cancel_command(settings: Settings, job_id: str) -> None:
    """End a job: at once when it waits, within seconds when it runs."""
    with opened(settings) as portal:
        ended = cancel_job(portal, job_id, actor=ACTOR, now=now())
    talk("cancelled" if ended.state == CANCELLED else "its worker was asked to end it")
