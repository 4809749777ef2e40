"""Engines: the list, one engine, and what is done to it."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from engineshed_packages.enrolment import EnrolAnswer
from engineshed_packages.protocol import Attributes, Outcome, Step
from engineshed_server.db import audit
from engineshed_server.domain.revisions import ANY_REVISION
from engineshed_server.domain.roles import Role
from engineshed_server.services import engines, enrolment, fleet
from engineshed_server.services.engine_edits import EngineChange, change_engine
from engineshed_server.services.ordering import Ask, give_order
from engineshed_server.services.reports import record_report
from engineshed_server.services.stops import turn_on
from tests.server.portals import ACTOR, enrol_request, poll_of, report_of
from tests.server.statements import counted
from tests.server.web.conftest import Browser, Site
from tests.server.web.test_rendering import HOSTILE


def heard(site: Site, *, host_name: str = "engine-host", **terms: object) -> EnrolAnswer:
    """An engine that has polled just now."""
    request = replace(enrol_request(site.house.token(**terms)), host_name=host_name)
    engine = enrolment.enrol(site.portal, request, address="192.0.2.1", now=site.house.now)
    poll = poll_of(engine.engine, now=site.house.now, attributes=Attributes(host_name=host_name, os="Linux"))
    fleet.answer(site.portal, engine.engine, poll=poll, now=site.house.now)
    site.portal.presence.flush(site.portal.database)
    return engine


def failed(site: Site, engine: EnrolAnswer, **changes: object) -> None:
    told = report_of(
        engine.engine,
        now=site.house.now,
        outcome=Outcome.ROLLED_BACK,
        code="probe-failed",
        steps=(Step(state="PROBING", at=site.house.now),),
        **changes,
    )
    record_report(site.portal, engine.engine, report=told, now=site.house.now)


def detail(site: Site, engine: EnrolAnswer) -> engines.EngineDetail:
    return engines.show_engine(site.portal, engine.engine)


def test_the_list_says_how_each_engine_stands_and_leads_to_it(site: Site) -> None:
    site.house.publish("1.0.0")
    engine = heard(site)
    page = site.log_in(Role.VIEWER).get("/engines").text
    assert f'href="/engines/{engine.engine}"' in page
    assert ">behind<" in page
    assert "newest 1.0.0" in page


def test_filters_sort_and_page_are_in_the_address_and_in_its_links(site: Site) -> None:
    heard(site)
    page = site.log_in(Role.VIEWER).get("/engines?q=engine&show=online&sort=group&down=1").text
    assert 'value="engine"' in page
    assert '<option value="online" selected>' in page
    links = re.findall(r'<th[^>]*><a href="([^"]+)"', page)
    assert "/engines?q=engine&amp;show=online&amp;sort=group" in links
    assert "/engines?q=engine&amp;show=online&amp;sort=seen" in links
    assert 'name="down" value="1"' in page


def test_what_an_address_cannot_mean_is_refused(site: Site) -> None:
    viewer = site.log_in(Role.VIEWER)
    for query, code in (
        ("show=green", "parameter-unreadable"),
        ("sort=colour", "parameter-unreadable"),
        ("page=0", "page-place"),
        ("page=x", "page-place"),
        ("page=9999999", "page-place"),
        ("q=" + "x" * 401, "parameter-unreadable"),
    ):
        answer = viewer.get(f"/engines?{query}")
        assert (answer.status_code in (400, 422), code in answer.text) == (True, True), query


def test_a_portal_without_engines_says_what_to_do(site: Site) -> None:
    viewer = site.log_in(Role.VIEWER)
    assert "No engine has joined yet" in viewer.get("/engines").text
    heard(site)
    assert "No engine is found" in viewer.get("/engines?q=nothing").text
    assert "There is no such page" in viewer.get("/engines?page=2").text


def test_an_engine_shows_what_failed_with_its_states_and_last_lines(site: Site) -> None:
    engine = heard(site)
    failed(site, engine, message="no answer", engine_log=("Port in use",), update_log=("11:00 probe",))
    page = site.log_in(Role.VIEWER).get(f"/engines/{engine.engine}").text
    for text in ("ROLLED_BACK", "probe-failed", "no answer", "Port in use", "11:00 probe", "PROBING"):
        assert text in page, text
    assert re.search(r">failed</span> since <time", page)


def test_why_an_engine_gets_what_it_gets_is_said(site: Site) -> None:
    site.house.publish("1.0.0")
    engine = heard(site)
    viewer = site.log_in(Role.VIEWER)

    def is_said(why: str) -> bool:
        return all(why in viewer.get(f"/engines/{engine.engine}{path}").text for path in ("", "/now"))

    assert is_said("0.9 should become 1.0.0")
    hold(site, engine)
    assert is_said("the engine is on hold: trade fair")
    everything: dict[str, None] = {"product": None, "channel": None}
    turn_on(site.portal, **everything, reason="smoke", actor=ACTOR, now=site.house.now)
    assert is_said("an emergency stop is on for all products: smoke")
    give_order(site.portal, engine.engine, Ask(do="restart"), actor=ACTOR, now=site.house.now)
    assert is_said("ordered it to restart")


def hold(site: Site, engine: EnrolAnswer) -> None:
    change = EngineChange(hold_reason="trade fair")
    change_engine(
        site.portal,
        engine.engine,
        change=change,
        expected=ANY_REVISION,
        actor=ACTOR,
        now=site.house.now,
    )


def test_the_part_that_looks_anew_is_no_whole_page(site: Site) -> None:
    engine = heard(site)
    part = site.log_in(Role.VIEWER).get(f"/engines/{engine.engine}/now").text
    assert part.lstrip().startswith("<div")
    assert f'hx-get="/engines/{engine.engine}/now"' in part


def test_an_engine_that_does_not_exist_has_no_page(site: Site) -> None:
    answer = site.log_in(Role.VIEWER).get("/engines/nothing")
    assert (answer.status_code, "engine-unknown" in answer.text) == (404, True)


def test_a_viewer_is_shown_nothing_to_do(site: Site) -> None:
    engine = heard(site)
    viewer = site.log_in(Role.VIEWER)
    for path in ("/engines", f"/engines/{engine.engine}"):
        forms = set(re.findall(r'<form[^>]*method="post" action="([^"]+)"', viewer.get(path).text))
        assert forms == {"/logout", "/theme"}, path


def send(browser: Browser, engine: EnrolAnswer, what: str, **fields: str) -> None:
    answer = browser.post(f"/engines/{engine.engine}/{what}", **fields)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/engines/{engine.engine}"), answer.text


def test_an_engine_that_waits_is_approved_or_rejected(site: Site) -> None:
    admin = site.log_in(Role.ADMIN)
    engine = heard(site, needs_approval=True)
    send(admin, engine, "reject")
    assert detail(site, engine).line.state == "rejected"
    send(admin, engine, "approve")
    assert detail(site, engine).line.state == "enrolled"
    assert "The engine is approved" in admin.get(f"/engines/{engine.engine}").text


def test_an_engine_is_revoked(site: Site) -> None:
    admin = site.log_in(Role.ADMIN)
    engine = heard(site)
    send(admin, engine, "revoke")
    assert detail(site, engine).line.state == "revoked"
    page = admin.get(f"/engines/{engine.engine}").text
    assert f'action="/engines/{engine.engine}/orders"' not in page


def test_an_engine_is_put_on_hold_and_let_go(site: Site) -> None:
    admin = site.log_in(Role.ADMIN)
    engine = heard(site)
    assert admin.post(f"/engines/{engine.engine}/hold", reason=" ").status_code == 422
    send(admin, engine, "hold", reason="trade fair")
    assert detail(site, engine).hold_reason == "trade fair"
    assert ">on hold<" in admin.get("/engines?show=held").text
    send(admin, engine, "unhold")
    assert detail(site, engine).hold_reason is None


def test_group_channel_and_notes_are_saved(site: Site) -> None:
    admin = site.log_in(Role.ADMIN)
    engine = heard(site)
    send(admin, engine, "place", group="north", channel="beta")
    send(admin, engine, "notes", notes="in the cellar\r\nbehind the door")
    found = detail(site, engine)
    assert (found.line.group, found.line.channel) == ("north", "beta")
    assert found.notes == "in the cellar\nbehind the door"
    assert "in the cellar\nbehind the door" in admin.get(f"/engines/{engine.engine}").text


def test_each_order_is_given(site: Site) -> None:
    site.house.publish("1.0.0")
    engine, admin = heard(site), site.log_in(Role.ADMIN)
    for do in ("install", "rollback", "start", "stop", "restart", "cancel"):
        version = {"version": "1.0.0"} if do == "install" else {}
        send(admin, engine, "orders", do=do, message="because", **version)
        (given,) = [one for one in detail(site, engine).orders if one.state == "open"]
        assert (given.do, given.given_by, given.message) == (do, "user:admin", "because")


def test_an_order_that_cannot_be_carried_out_is_refused_on_the_engines_page(site: Site) -> None:
    engine = heard(site)
    answer = site.log_in(Role.ADMIN).post(f"/engines/{engine.engine}/orders", do="retry")
    assert answer.status_code == 409
    assert "nothing that is published here failed on this engine" in answer.text
    assert f"{engine.engine}</span>" in answer.text
    assert detail(site, engine).orders == ()


def test_an_order_that_is_none_is_refused(site: Site) -> None:
    engine = heard(site)
    answer = site.log_in(Role.ADMIN).post(f"/engines/{engine.engine}/orders", do="explode")
    assert (answer.status_code, "is no order" in answer.text) == (422, True)


def test_ticked_engines_are_moved_at_once(site: Site) -> None:
    admin = site.log_in(Role.ADMIN)
    first, second, other = heard(site), heard(site), heard(site)
    fields = {"csrf_token": admin.token(), "engine": [first.engine, second.engine], "group": "north"}
    answer = admin.http.post("/engines/move", data={**fields, "next": "/engines?show=online"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/engines?show=online")
    assert [detail(site, one).line.group for one in (first, second, other)] == ["north", "north", "default"]
    with site.portal.database.read() as session:
        changed = [one for one in audit.list_audit(session) if one.action == "engine-changed"]
    assert {one.actor.name for one in changed} == {"user:admin"}
    assert json.loads(changed[0].after or "")["group"] == "north"


def test_nothing_ticked_is_nothing_moved(site: Site) -> None:
    admin = site.log_in(Role.ADMIN)
    engine = heard(site)
    assert admin.post("/engines/move", group="north").status_code == 422
    assert admin.post("/engines/move", engine=engine.engine).status_code == 422


def test_whatever_an_engine_and_people_call_themselves_is_text(site: Site) -> None:
    engine = heard(site, host_name=HOSTILE[:200])
    failed(site, engine, message=HOSTILE, engine_log=(HOSTILE,), update_log=(HOSTILE,))
    admin = site.log_in(Role.ADMIN)
    send(admin, engine, "notes", notes=HOSTILE)
    send(admin, engine, "hold", reason=HOSTILE)
    send(admin, engine, "orders", do="restart", message=HOSTILE)
    for path in ("/engines", "/engines?q=" + "%3Cscript%3E", f"/engines/{engine.engine}"):
        page = admin.get(path).text
        assert "<script>alert" not in page, path
        assert "<img src=x" not in page, path
        assert "&lt;script&gt;" in page, path


def test_the_statements_of_the_pages_do_not_grow_with_what_they_show(site: Site) -> None:
    site.house.publish("1.0.0")
    viewer = site.log_in(Role.VIEWER)
    engine = heard(site)
    seen: list[tuple[int, int]] = []
    for _ in range(2):
        for _ in range(4):
            failed(site, heard(site))
            failed(site, engine)
        counts = []
        for path in ("/engines", f"/engines/{engine.engine}"):
            with counted(site.portal.database) as statements:
                assert viewer.get(path).status_code == 200
            counts.append(len(statements))
        seen.append((counts[0], counts[1]))
    assert seen[0] == seen[1]
    assert max(seen[0]) <= 30, seen
