"""Times and identifiers have one spelling each."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from engineshed_packages.errors import ProtocolRefused
from engineshed_packages.ids import check_id, derived_id, new_id
from engineshed_packages.times import format_time, parse_time


def test_a_time_in_another_zone_is_written_in_utc() -> None:
    moment = datetime(2026, 11, 22, 9, 30, 1, 999, tzinfo=timezone(timedelta(hours=1)))
    assert format_time(moment) == "2026-11-22T08:30:01Z"


@pytest.mark.parametrize(
    "text", ["2026-11-22T08:30:01Z", "2026-11-22T08:30:01.5Z", "2026-11-22t08:30:01+00:00"]
)
def test_rfc_3339_in_utc_is_read(text: str) -> None:
    assert parse_time(text) == datetime(2026, 11, 22, 8, 30, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-11-22", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-11-22T08:30:01+01:00",
     "2026-11-22T08:30:01", "２０２６-11-22T08:30:01Z", 5, None],
)  # fmt: skip
def test_any_other_spelling_is_refused(text: object) -> None:
    with pytest.raises(ProtocolRefused) as refusal:
        parse_time(text)
    assert refusal.value.code == "time-unreadable"


def test_a_year_below_1000_is_written_so_that_it_can_be_read() -> None:
    moment = datetime(1, 2, 3, tzinfo=UTC)
    assert parse_time(format_time(moment)) == moment


def test_a_naive_time_is_a_bug() -> None:
    with pytest.raises(ValueError, match="naive"):
        format_time(datetime(2026, 1, 1))


def test_a_new_id_is_accepted_and_never_twice_the_same() -> None:
    drawn = {new_id("eng") for _ in range(1000)}
    assert len(drawn) == 1000
    assert {check_id("eng", one) for one in drawn} == drawn


def test_a_derived_id_depends_on_each_part() -> None:
    assert derived_id("att", "a", "b") == derived_id("att", "a", "b")
    assert derived_id("att", "a", "b") != derived_id("att", "ab")


@pytest.mark.parametrize(
    "text", ["", "eng_", "ord_aaaaaaaaaaaaaaaaaaaa", "eng_aaaaaaaaaaaaaaaaaaa1", "eng_AAAA", None]
)
def test_another_text_is_no_engine_id(text: object) -> None:
    with pytest.raises(ProtocolRefused):
        check_id("eng", text)
