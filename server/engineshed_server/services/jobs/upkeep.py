"""What a portal does for itself: forget what is over, and look whether all is well."""

from __future__ import annotations

from datetime import timedelta

from engineshed_server.db import jobs
from engineshed_server.errors import ServerError
from engineshed_server.services.jobs.kinds import JobKind, Run
from engineshed_server.services.portal import Portal
from engineshed_server.services.readiness import Status, check_readiness
from engineshed_server.services.schedules import DefaultSchedule

KEEP_JOBS = timedelta(days=30)  # after their end
AT_ONCE = 500


def prune(portal: Portal, run: Run) -> None:
    """Forget jobs that ended long ago; uploads, sessions and guesses the web server forgets by itself."""
    forgotten = 0
    while True:
        with portal.database.write() as session:
            now_forgotten = jobs.delete_ended(session, before=run.now - KEEP_JOBS, limit=AT_ONCE)
        if not now_forgotten:
            break
        forgotten += now_forgotten
        run.reach(0, 1)
    run.say(f"jobs forgotten: {forgotten}")


def look(portal: Portal, run: Run) -> None:
    """Write down what of the portal is not well, with what to do: metadata, disk, keys, clock, database.

    Raises:
        ServerError: ``portal-ailing``: something fails.
    """
    checks = check_readiness(portal, now=run.now)
    ailing = [check for check in checks if check.status is not Status.GOOD]
    for check in ailing:
        level = "warning" if check.status is Status.DEGRADED else "error"
        run.say(f"{check.name}: {check.text} {check.remedy}".strip(), level=level)
    failing = [check.name for check in ailing if check.status is Status.BAD]
    if failing:
        names = ", ".join(failing)
        raise ServerError("portal-ailing", f"failing: {names}; the lines of this job say what to do")
    run.say(f"{len(checks) - len(ailing)} of {len(checks)} checks are good")


KINDS = {
    kind.name: kind
    for kind in (
        JobKind(name="prune", work=prune),
        JobKind(name="self-check", work=look, max_attempts=1),
    )
}
SCHEDULES = (
    DefaultSchedule(kind="prune", timing="every 1 h"),
    DefaultSchedule(kind="self-check", timing="every 30 min"),
)
