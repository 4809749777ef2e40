"""Hosts join with approval, are shut out, and meet their double: a real portal, real updaters."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from engineshed_packages import exits
from tests.client.little_engine import wait_until
from tests.e2e.sample_parties import EngineHost
from tests.e2e.site import Site

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def member(site: Site) -> EngineHost:
    """A host on which 1.0.0 and its updater run."""
    host = site.running_host()
    host.start_updater()
    return host


def test_a_host_that_needs_approval_waits_says_so_and_gets_the_newest_release_once_it_is_approved(
    site: Site,
) -> None:
    host = site.new_host()
    site.portal.upload(site.vendor.bundle(host.product, "1.0.0"))
    site.portal.upload(site.vendor.bundle(host.product, "1.1.0"))
    joined = host.enrol(site.portal.line("--needs-approval"))
    assert (joined.returncode, "waits for approval by the portal's admin" in joined.stdout) == (0, True)
    host.start_updater()
    wait_until(lambda: host.heard.startswith("waiting-for-approval: "))
    status = host.client("status").stdout
    assert "it says:   waiting-for-approval since " in status
    assert host.client("check").returncode == exits.TRY_LATER
    assert not (host.base / "engine").exists()
    waiting = site.portal.run("engine", "list", "--state", "waiting")
    assert host.engine_id in waiting
    site.portal.run("engine", "approve", host.engine_id)
    wait_until(lambda: host.version == "1.1.0")
    (approved,) = site.audited("engine-approved", host.engine_id)
    assert (approved["before"], approved["after"]) == ({"state": "waiting"}, {"state": "enrolled"})


@pytest.fixture
def double(site: Site, member: EngineHost, tmp_path: Path) -> Iterator[EngineHost]:
    """A copy of the member's host with its identity, as of a cloned virtual machine."""
    host = EngineHost(tmp_path / "base", product=member.product, root_file=site.vendor.root_file)
    with host:
        for name in ("credentials.json", "trusted_root.json"):
            shutil.copy(member.base / "update" / name, host.base / "update" / name)
        yield host


def test_two_hosts_that_poll_as_one_engine_are_shown(
    site: Site, member: EngineHost, double: EngineHost
) -> None:
    assert not site.portal.engine(member.engine_id)["two_hosts"]
    double.start_updater()
    wait_until(lambda: site.portal.engine(member.engine_id)["two_hosts"])
    listed = [line for line in site.portal.run("engine", "list").splitlines() if member.engine_id in line]
    assert len(listed) == 1
    assert "TWO HOSTS" in listed[0]
    advice = site.portal.try_to("engine", "show", member.engine_id).stderr
    assert f"enrol-token create --replaces {member.engine_id}" in advice
    assert len(site.audited("engine-on-two-hosts", member.engine_id)) == 1


def test_a_revoked_engine_runs_on_and_its_host_says_what_to_do_and_joins_anew(
    site: Site, member: EngineHost
) -> None:
    process = member.process
    site.portal.ask("POST", f"/engines/{member.engine_id}/revoke", {})
    wait_until(lambda: member.heard.startswith("engine-revoked: "))
    told = member.client("update")
    assert (told.returncode, "enrol --again" in told.stderr) == (exits.REFUSED, True)
    assert (member.version, member.process) == ("1.0.0", process)
    assert re.search(r" PORTAL attempt=none code=engine-revoked ", member.log("PORTAL")[-1])
    former = member.engine_id
    line = site.portal.line("--replaces", former)
    again = member.client("enrol", "--again", stdin=line + "\n")
    assert again.returncode == 0, again.stderr
    wait_until(
        lambda: site.portal.engine(former)["state"] == "enrolled" and not member.heard.startswith("engine-")
    )
    assert (member.engine_id, member.process) == (former, process)
