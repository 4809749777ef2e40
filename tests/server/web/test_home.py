"""Home: the figures and what they lead to, what was tried and done last, what is refused, warnings."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import time_machine

from engineshed_server.domain.roles import Role
from engineshed_server.services.uploads.ingesting import ingest_next
from engineshed_server.storage.incoming import Incoming
from tests.server.statements import counted
from tests.server.web.conftest import Site, now
from tests.server.web.test_engines import failed, heard
from tests.server.web.test_rendering import HOSTILE
from tests.server.web.test_uploads import append, begin

FIGURES = ("online", "late", "behind", "failed", "waiting")


def figures(page: str) -> dict[str, int]:
    found = re.findall(r'class="figure[^"]*" href="/engines\?show=(\w+)"><strong>([^<]*)', page)
    return {name: int(count.replace("\u202f", "")) for name, count in found}


def test_a_portal_without_engines_says_so(site: Site) -> None:
    page = site.log_in(Role.VIEWER).get("/").text
    assert figures(page) == dict.fromkeys(FIGURES, 0)
    assert "No engine has joined yet." in page


def test_each_figure_leads_to_a_list_of_as_many_engines(site: Site) -> None:
    site.house.publish("1.0.0")
    failed(site, heard(site))
    heard(site, needs_approval=True)
    site.house.enrol()
    viewer = site.log_in(Role.VIEWER)
    page = viewer.get("/").text
    assert figures(page) == {"online": 1, "late": 1, "behind": 2, "failed": 1, "waiting": 1}
    assert "Not every engine is green" in page
    for name, count in figures(page).items():
        listed = viewer.get(f"/engines?show={name}").text
        assert listed.count('<td class="host">') == count, name


def test_a_fleet_with_the_newest_is_green(site: Site) -> None:
    heard(site)
    page = site.log_in(Role.VIEWER).get("/").text
    assert "Every engine is green: 1 of 1" in page


def test_versions_are_a_bar_by_product_and_channel_and_lead_to_their_engines(site: Site) -> None:
    site.house.publish("0.9")
    heard(site)
    site.house.enrol(version="0.8")
    page = site.log_in(Role.VIEWER).get("/").text
    assert 'aria-label="0.9: 1, 0.8: 1"' in page
    assert re.search(r'<rect class="newest" x="0.000%" width="50.000%"', page)
    assert 'href="/engines?product=sample-engine&amp;channel=stable&amp;version=0.8"' in page


def test_what_was_tried_last_and_who_did_what_are_shown_without_who_came_and_went(site: Site) -> None:
    engine = heard(site)
    failed(site, engine)
    page = site.log_in(Role.VIEWER).get("/").text
    assert "probe-failed" in page
    assert "engine enrolled" in page
    feed = page.partition(">Activity<")[2]
    assert "login" not in feed.partition("</ul>")[0]


def test_the_part_that_looks_anew_is_the_dashboard_without_the_page(site: Site) -> None:
    part = site.log_in(Role.VIEWER).get("/home/now").text
    assert part.lstrip().startswith('<div class="now"')
    assert (figures(part), "<html" in part) == (dict.fromkeys(FIGURES, 0), False)


def test_an_upload_that_was_refused_is_a_banner_until_the_next_is_good(site: Site) -> None:
    admin = site.log_in(Role.ADMIN)
    path = begin(admin, 10)
    append(admin, path, b"no bundle!", offset=0)
    ingest_next(site.portal, now=now())
    page = admin.get("/").text
    assert "The upload bundle.zip was refused:" in page
    assert f'href="/update-packages{path.removeprefix("/web")}"' in page
    site.house.vendor.release("1.0.0")
    bundle = site.house.vendor.bundle("1.0.0").read_bytes()
    append(admin, begin(admin, len(bundle)), bundle, offset=0)
    ingest_next(site.portal, now=now())
    assert "was refused" not in admin.get("/").text


def test_metadata_that_runs_out_is_told_on_every_page(site: Site) -> None:
    viewer = site.log_in(Role.VIEWER)
    assert "metadata" not in viewer.get("/account").text
    site.house.publish("1.0.0")
    expires = site.portal.snapshot.current().metadata_expires
    assert expires is not None
    for before, told in (
        (timedelta(days=15), None),
        (timedelta(days=13), "metadata expires on"),
        (-timedelta(days=1), "metadata expired on"),
    ):
        with time_machine.travel(expires - before, tick=False):
            page = site.log_in(Role.VIEWER, name=f"at-{before.days + 1}").get("/account").text
        assert ("metadata exp" in page) == (told is not None), before
        assert told is None or told in page


def test_a_disk_that_is_low_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = site.log_in(Role.VIEWER)
    assert "disk has" not in viewer.get("/").text
    monkeypatch.setattr(Incoming, "free_bytes", lambda _: 1000)
    assert "disk has 1.0 kB left" in viewer.get("/").text


def test_whatever_engines_call_themselves_is_text(site: Site) -> None:
    failed(site, heard(site, host_name=HOSTILE[:200]), message=HOSTILE)
    page = site.log_in(Role.VIEWER).get("/").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


def test_the_statements_do_not_grow_with_the_fleet(site: Site) -> None:
    viewer = site.log_in(Role.VIEWER)
    seen = []
    for _ in range(2):
        for _ in range(3):
            failed(site, heard(site))
        with counted(site.portal.database) as statements:
            viewer.get("/")
        seen.append(len(statements))
    assert seen[0] == seen[1] <= 12, seen
