"""What a portal does for itself: forgetting old jobs, and looking whether all is well."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engineshed_server.db.jobs import JobRecord
from engineshed_server.errors import NotFound
from engineshed_server.services.jobs.requesting import list_jobs, request_job, show_job
from engineshed_server.services.jobs.upkeep import KEEP_JOBS, KINDS, SCHEDULES
from tests.server.portals import ACTOR, House
from tests.server.services.jobs.bells import HeardBell, run


def done(house: House, kind: str) -> JobRecord:
    """A job of that kind, asked for and run."""
    bell = HeardBell()
    asked = request_job(house.portal, kind, kinds=KINDS, bell=bell, actor=ACTOR, now=house.now)
    run(house, asked.job_id, KINDS)
    return show_job(house.portal, asked.job_id).job


def test_jobs_that_ended_long_ago_are_forgotten_with_their_lines_and_others_stay(house: House) -> None:
    old = done(house, "self-check")
    waits = request_job(house.portal, "prune", kinds=KINDS, bell=HeardBell(), actor=ACTOR, now=house.now)
    house.now += KEEP_JOBS
    assert done(house, "prune").state == "done"
    assert show_job(house.portal, old.job_id).lines  # a second is missing
    house.now += timedelta(seconds=1)
    last = done(house, "prune")
    assert [line.text for line in show_job(house.portal, last.job_id).lines] == ["jobs forgotten: 1"]
    with pytest.raises(NotFound):
        show_job(house.portal, old.job_id)
    assert {job.job_id for job in list_jobs(house.portal, limit=10)} > {waits.job_id, last.job_id}


def test_a_portal_that_is_well_says_so(house: House) -> None:
    job = done(house, "self-check")
    (line,) = show_job(house.portal, job.job_id).lines
    assert (job.state, line.level) == ("done", "info")
    assert line.text.endswith("checks are good")


def test_what_fails_is_named_with_its_remedy_and_fails_the_job(house: House) -> None:
    house.publish("1.0.0")
    (house.portal.metadata.folder / "timestamp.json").unlink()
    job = done(house, "self-check")
    assert (job.state, job.error_code) == ("failed", "portal-ailing")
    assert job.error is not None
    assert "metadata" in job.error
    lines = show_job(house.portal, job.job_id).lines
    assert [line.level for line in lines if line.text.startswith("metadata: ")] == ["error"]


def test_every_kind_has_a_schedule() -> None:
    assert {schedule.kind for schedule in SCHEDULES} == set(KINDS)
