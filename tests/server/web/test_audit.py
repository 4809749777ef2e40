"""The page Audit: what it finds, how it tells a change, and that its pages are made by the database."""

import re
from datetime import timedelta

import pytest

from engineshed_server.db.audit import add_audit
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.roles import Role
from engineshed_server.web.queries import PAGE_LINES
from tests.server.statements import counted
from tests.server.web.conftest import Browser, Site, now

AT = now().replace(second=0, microsecond=0)


@pytest.fixture
def viewer(site: Site) -> Browser:
    return site.log_in(Role.VIEWER)


def write(site: Site, *subjects: str, action: str = "tried", **more: object) -> None:
    with site.portal.database.write() as session:
        for number, subject in enumerate(subjects):
            at = AT + timedelta(minutes=number)
            actor = Actor("user:anna", address="192.0.2.9")
            add_audit(session, action, subject=subject, actor=actor, now=at, **more)  # type: ignore[arg-type]


def subjects(text: str) -> list[str]:
    return re.findall(r'href="/audit\?subject=[^"]*">([^<]*)<', text)


def test_a_change_is_told_as_what_was_before_and_after(site: Site, viewer: Browser) -> None:
    before, after = {"state": "waiting", "same": 1}, {"state": "enrolled", "same": 1}
    write(site, "eng_x", details={"told": True, "none": None}, before=before, after=after)
    page = viewer.get("/audit?subject=eng_x").text
    assert "<del>waiting</del> → <ins>enrolled</ins>" in page
    assert re.findall(r"<dt>([^<]*)</dt>", page) == ["state", "none", "told"]
    assert re.findall(r"<dd>(yes|–)</dd>", page) == ["–", "yes"]
    assert "192.0.2.9" in page


def test_what_was_made_has_no_before(site: Site, viewer: Browser) -> None:
    write(site, "t", after={"name": ""})
    page = viewer.get("/audit?subject=t").text
    assert "<del>" not in page
    assert "<ins>(empty)</ins>" in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("action=tried", ["c", "b", "a"]),
        ("action=tried&subject=b", ["b"]),
        ("action=tried&actor=user:bert", []),
        (f"action=tried&since={AT + timedelta(minutes=1):%Y-%m-%dT%H:%M}", ["c", "b"]),
        (f"action=tried&until={AT + timedelta(minutes=1):%Y-%m-%dT%H:%M}", ["a"]),
        ("action=+tried+&subject=&since=", ["c", "b", "a"]),
    ],
)
def test_changes_are_found_by_action_subject_actor_and_time(
    site: Site, viewer: Browser, query: str, found: list[str]
) -> None:
    write(site, "a", "b", "c")
    assert subjects(viewer.get(f"/audit?{query}").text) == found


def test_the_filter_is_still_there_when_something_was_found(viewer: Browser) -> None:
    page = viewer.get("/audit?action=login&since=2026-01-02T03:04").text
    assert 'name="action" value="login"' in page
    assert 'name="since" value="2026-01-02T03:04"' in page


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("since=yesterday", "parameter-unreadable"),
        ("since=0001-01-01T00:00%2B12:00", "parameter-unreadable"),
        (f"subject={'x' * 401}", "parameter-unreadable"),
        ("action=%00", "parameter-unreadable"),
        ("after=nowhere", "page-place"),
    ],
)
def test_what_cannot_be_read_is_told(viewer: Browser, query: str, code: str) -> None:
    answer = viewer.get(f"/audit?{query}")
    assert (answer.status_code, code in answer.text) == (400, True)


def test_pages_follow_each_other_and_keep_the_filter(site: Site, viewer: Browser) -> None:
    write(site, *(f"s{number:03}" for number in range(2 * PAGE_LINES + 1)))
    told, address, pages = [], "/audit?action=tried", 0
    while address:
        page = viewer.get(address).text
        told += subjects(page)
        following = re.search(r'href="([^"]*)" rel="next"', page)
        address = "" if following is None else following[1].replace("&amp;", "&")
        pages += 1
    assert told == [f"s{number:03}" for number in reversed(range(2 * PAGE_LINES + 1))]
    assert pages == 3
    assert 'href="/audit?action=tried">First page<' in page


def test_a_full_page_asks_the_database_as_often_as_an_empty_one(site: Site, viewer: Browser) -> None:
    write(site, *map(str, range(3 * PAGE_LINES)))
    counts = []
    for query in ("subject=nothing", "action=tried", "subject=eng_nothing"):
        with counted(site.portal.database) as statements:
            viewer.get(f"/audit?{query}")
        counts.append(len(statements))
    assert counts == [2, 2, 2], statements
