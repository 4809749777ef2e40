"""Lists of engines: what is found, in which order, and that the figures count the same."""

from __future__ import annotations

import pytest

from engineshed_packages.enrolment import EnrolAnswer
from engineshed_packages.protocol import REFUSAL, Outcome
from engineshed_server.domain.engine_lists import EngineSearch, Show, Sort
from engineshed_server.domain.revisions import ANY_REVISION
from engineshed_server.domain.standing import Standing
from engineshed_server.errors import Refused
from engineshed_server.services import engine_lists, engines
from engineshed_server.services.engine_edits import EngineChange, change_engine
from engineshed_server.services.engine_lists import count_figures, find_engines
from engineshed_server.services.reports import record_report
from tests.server.portals import ACTOR, House, report_of
from tests.server.statements import counted


def heard(house: House, version: str | None = "0.9", *, needs_approval: bool = False) -> EnrolAnswer:
    """An engine that has polled just now."""
    engine = house.enrol(version=version, needs_approval=needs_approval)
    house.poll(engine, version=version)
    house.portal.presence.flush(house.portal.database)
    return engine


def ended(house: House, engine: EnrolAnswer, outcome: Outcome, **changes: object) -> None:
    told = report_of(engine.engine, now=house.now, outcome=outcome, version=None, **changes)
    record_report(house.portal, engine.engine, report=told, now=house.now)


def edit(house: House, engine: EnrolAnswer, **words: str) -> None:
    change = EngineChange(**words)
    change_engine(
        house.portal, engine.engine, change=change, expected=ANY_REVISION, actor=ACTOR, now=house.now
    )


def found(house: House, **search: object) -> list[str]:
    page = find_engines(house.portal, EngineSearch(**search), now=house.now)  # type: ignore[arg-type]
    return [line.engine.engine_id for line in page.lines]


def test_each_figure_is_the_length_of_its_list(house: House) -> None:
    house.publish("1.0.0")
    silent = house.enrol().engine
    late = heard(house).engine
    house.tick(seconds=1801)
    waiting = heard(house, needs_approval=True).engine
    good, behind, failed = heard(house, "1.0.0"), heard(house, "0.9.1"), heard(house, "1.0.0")
    ended(house, failed, Outcome.ROLLED_BACK)
    figures = count_figures(house.portal, now=house.now)
    lists = {show: set(found(house, show=show)) for show in Show}
    assert lists[Show.ONLINE] == {good.engine, behind.engine, failed.engine}
    assert lists[Show.LATE] == {silent, late}
    assert lists[Show.WAITING] == {waiting}
    assert lists[Show.FAILED] == {failed.engine}
    assert lists[Show.BEHIND] >= {behind.engine, silent, late}
    assert good.engine not in lists[Show.BEHIND]
    counts = {"online": figures.online, "late": figures.late, "behind": figures.behind}
    counts |= {"failed": figures.failed, "waiting": figures.waiting}
    assert counts == {name: len(lists[Show(name)]) for name in counts}
    assert (figures.enrolled, figures.is_green) == (5, False)


def test_who_is_behind_is_told_with_the_newest_and_a_release_on_hold_is_none(house: House) -> None:
    house.publish("1.0.0")
    engine = heard(house, "0.9")
    (line,) = find_engines(house.portal, EngineSearch(), now=house.now).lines
    assert (line.standing, line.newest, line.engine.version) == (Standing.BEHIND, "1.0.0", "0.9")
    assert found(house, show=Show.BEHIND) == [engine.engine]


def test_an_order_that_was_refused_is_no_failure(house: House) -> None:
    engine = heard(house)
    ended(house, engine, Outcome.ABORTED, kind=REFUSAL)
    assert found(house, show=Show.FAILED) == []
    house.tick()
    ended(house, engine, Outcome.ABORTED)
    house.tick()
    ended(house, engine, Outcome.ABORTED, kind=REFUSAL)
    assert found(house, show=Show.FAILED) == [engine.engine]
    house.tick()
    ended(house, engine, Outcome.OK)
    assert found(house, show=Show.FAILED) == []


@pytest.mark.parametrize("text", ["NORTH", "north-7", "look 100%", "198.51.100"])
def test_a_text_is_found_in_names_and_notes(house: House, text: str) -> None:
    engine = heard(house)
    edit(house, engine, notes="look 100%: north-7 at 198.51.100.7")
    house.enrol()
    assert found(house, text=text) == [engine.engine]


@pytest.mark.parametrize("text", ["%", "h_st", "\\"])
def test_signs_of_the_database_are_only_signs(house: House, text: str) -> None:
    engine = heard(house)
    edit(house, engine, notes="north-7")
    assert found(house, text=text) == []


def test_versions_are_sorted_as_versions(house: House) -> None:
    engines_of = {version: heard(house, version).engine for version in ("1.10", "1.9", "1.9.5")}
    order = [engines_of[version] for version in ("1.9", "1.9.5", "1.10")]
    assert found(house, sort=Sort.VERSION) == order
    assert found(house, sort=Sort.VERSION, down=True) == order[::-1]


@pytest.mark.parametrize("sort", list(Sort))
def test_whatever_it_is_sorted_by_each_engine_is_on_one_page(
    house: House, sort: Sort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_lists, "PAGE_LINES", 2)
    made = {heard(house).engine, house.enrol().engine, heard(house, "1.1").engine}
    pages = [found(house, sort=sort, page=page) for page in (1, 2, 3)]
    assert [len(page) for page in pages] == [2, 1, 0]
    assert {one for page in pages for one in page} == made


def test_who_was_never_heard_of_is_the_longest_silent(house: House) -> None:
    heard_of, never = heard(house).engine, house.enrol().engine
    assert found(house, sort=Sort.SEEN) == [never, heard_of]


def test_filters_narrow_the_list_and_what_can_be_asked_for_stays(house: House) -> None:
    one, other = heard(house), heard(house, "1.1")
    edit(house, one, group="north", channel="beta")
    assert found(house, group="north") == found(house, channel="beta") == [one.engine]
    assert found(house, version="1.1") == [other.engine]
    page = find_engines(house.portal, EngineSearch(version="1.1"), now=house.now)
    assert (page.groups, page.channels, page.versions) == (
        ("default", "north"),
        ("beta", "stable"),
        ("1.1", "0.9"),
    )
    assert (page.total, page.pages, page.first) == (1, 1, 1)


def test_there_is_no_page_before_the_first(house: House) -> None:
    with pytest.raises(Refused, match="no place"):
        found(house, page=0)


def test_a_bar_has_the_newest_version_first(house: House) -> None:
    house.publish("1.10")
    for version in ("1.9", "1.10", "1.10", None):
        heard(house, version)
    (bar,) = count_figures(house.portal, now=house.now).bars
    assert (bar.product, bar.channel, bar.engines) == ("sample-engine", "stable", 4)
    assert [(one.version, one.engines, one.newest) for one in bar.shares] == [
        ("1.10", 2, True),
        ("1.9", 1, False),
        (None, 1, False),
    ]


def test_an_engine_that_is_shut_out_is_not_counted(house: House) -> None:
    engine = heard(house).engine
    engines.revoke_engine(house.portal, engine, actor=ACTOR, now=house.now)
    figures = count_figures(house.portal, now=house.now)
    assert (figures.enrolled, figures.late, figures.bars, figures.is_green) == (0, 0, (), True)
    assert found(house, show=Show.REVOKED) == [engine]


def test_the_statements_are_the_same_for_one_engine_and_for_many(house: House) -> None:
    house.publish("1.0.0")
    seen = []
    for _ in range(2):
        for _ in range(4):
            ended(house, heard(house), Outcome.BROKEN)
        with counted(house.portal.database) as statements:
            find_engines(house.portal, EngineSearch(show=Show.BEHIND), now=house.now)
            count_figures(house.portal, now=house.now)
        seen.append(len(statements))
    assert seen[0] == seen[1] <= 10
