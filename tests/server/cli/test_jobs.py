"""The commands of jobs and schedules."""

from __future__ import annotations

from engineshed_packages import exits
from tests.server.cli.conftest import Command


def test_a_job_is_asked_for_shown_cancelled_and_listed(portal: Command) -> None:
    asked = portal("job", "run", "prune")
    job_id = asked.out.strip()
    assert (asked.code, job_id[:4]) == (exits.DONE, "job_")
    assert portal("job", "show", job_id).out == f"{job_id} prune: waiting, 0 %, try 0\n"
    assert portal("job", "show", job_id, "--json").values["job"]["state"] == "waiting"
    assert "cancelled" in portal("job", "cancel", job_id).err
    listed = portal("job", "list", "--state", "cancelled", "--json").values["jobs"]
    assert [(one["job"], one["kind"], one["requested_by"]) for one in listed] == [(job_id, "prune", "cli")]
    assert portal("job", "list", "--state", "waiting", "--json").values == {"jobs": []}
    again = portal("job", "cancel", job_id)
    assert (again.code, "job-ended" in again.err) == (exits.FAILED, True)


def test_a_job_nobody_knows_is_told_so(portal: Command) -> None:
    told = portal("job", "show", "job_nobody")
    assert (told.code != exits.DONE, "job-unknown" in told.err) == (True, True)


def test_a_schedule_is_switched_and_timed_and_what_is_not_given_stays(portal: Command) -> None:
    before = {one["schedule"]: one for one in portal("schedule", "list", "--json").values["schedules"]}
    assert (before["prune"]["timing"], before["prune"]["is_on"]) == ("every 1 h", True)
    assert portal("schedule", "set", "prune", "--timing", "30 2 * * *", "--zone", "Europe/Paris").code == 0
    assert portal("schedule", "set", "prune", "--off").err == "schedule prune: off\n"
    after = {one["schedule"]: one for one in portal("schedule", "list", "--json").values["schedules"]}
    changed = {
        "timing": "30 2 * * *",
        "zone": "Europe/Paris",
        "is_on": False,
        "next_run": None,
        "revision": 3,
    }
    assert after["prune"] == {**before["prune"], **changed}
    assert after["self-check"] == before["self-check"]


def test_a_schedule_that_is_set_to_nothing_or_to_nonsense_stays_as_it_is(portal: Command) -> None:
    before = portal("schedule", "list", "--json").values
    nothing = portal("schedule", "set", "prune")
    assert (nothing.code, "expected --on, --off" in nothing.err) == (exits.USAGE, True)
    nonsense = portal("schedule", "set", "prune", "--timing", "now and then")
    assert (nonsense.code, "expected five fields of cron" in nonsense.err) == (exits.FAILED, True)
    assert portal("schedule", "list", "--json").values == before
