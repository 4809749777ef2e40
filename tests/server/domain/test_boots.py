from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from engineshed_server.domain.boots import MAX_BOOTS, REMEMBERED, Boots

START = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def after(polls: str, *, every: timedelta = timedelta(minutes=1), boots: Boots | None = None) -> Boots:
    """What is known once each letter has polled, one after the other."""
    known = Boots() if boots is None else boots
    for number, nonce in enumerate(polls):
        known = known.after(nonce, now=START + every * number)
    return known


@pytest.mark.parametrize(
    ("polls", "two_hosts"),
    [
        ("", False),
        ("A", False),
        ("AAAA", False),
        ("AB", False),
        ("AABBB", False),  # the updater was started anew
        ("ABA", False),  # a command beside the service
        ("ABBA", False),
        ("ABACADA", False),  # several commands, one after the other
        ("ABAB", True),
        ("AABAAB", True),
        ("ABACB", True),
        ("ABCABC", True),
        ("ABABA", True),
    ],
)
def test_two_hosts_are_told_from_one_by_nonces_that_cross(polls: str, two_hosts: bool) -> None:
    assert after(polls).two_hosts is two_hosts


def test_a_service_started_anew_between_two_commands_is_one_host() -> None:
    assert not after("AxAAByBB").two_hosts


def test_an_hour_after_the_last_crossing_nothing_is_told_any_more() -> None:
    boots = after("ABAB")
    crossed = START + timedelta(minutes=3)
    assert boots.after("A", now=crossed + REMEMBERED - timedelta(seconds=1)).two_hosts
    assert not boots.after("A", now=crossed + REMEMBERED).two_hosts


def test_a_start_that_is_over_is_forgotten() -> None:
    boots = after("A").after("B", now=START + REMEMBERED)
    assert [boot.nonce for boot in boots.recent] == ["B"]


def test_of_many_starts_the_last_ones_are_remembered() -> None:
    polls = "".join(chr(0x100 + number) for number in range(MAX_BOOTS + 10))
    recent = after(polls, every=timedelta(seconds=1)).recent
    assert "".join(boot.nonce for boot in recent) == polls[10:]


def test_hosts_of_one_image_are_found_out_however_many_there_are() -> None:
    polls = "".join(chr(0x100 + number) for number in range(MAX_BOOTS))
    assert after(polls * 2, every=timedelta(seconds=1)).two_hosts


@pytest.mark.parametrize("polls", ["", "A", "ABAB"])
def test_what_is_written_is_read_back(polls: str) -> None:
    boots = after(polls)
    assert Boots.from_dict(boots.to_dict()) == boots


def test_a_start_that_goes_on_polling_is_the_last_one_until_then() -> None:
    until = START + timedelta(minutes=30)
    known = after("AB").polled(until)
    assert [boot.last for boot in known.recent] == [START, until]
    assert known.polled(START) == known


def test_hosts_are_told_apart_when_only_the_changes_between_them_are_written_down() -> None:
    known = after("A").polled(START + timedelta(minutes=5))
    for minute, nonce in ((6, "B"), (7, "A"), (8, "B")):
        known = known.after(nonce, now=START + timedelta(minutes=minute))
    assert known.two_hosts


@pytest.mark.parametrize(("polls", "two_hosts"), [("ABAB", True), ("ABBA", False), ("AABBB", False)])
def test_hosts_started_in_the_same_second_are_told_apart_though_whole_seconds_are_written(
    polls: str, two_hosts: bool
) -> None:
    known = Boots()
    for number, nonce in enumerate(polls):
        known = known.after(nonce, now=START + timedelta(milliseconds=600 * number))
        known = Boots.from_dict(known.to_dict())
    assert known.two_hosts is two_hosts


def polled(*polls: tuple[str, str | None, str | None]) -> Boots:
    """What is known after polls of (nonce, host name, address), a minute apart."""
    known = Boots()
    for minute, (nonce, host_name, address) in enumerate(polls):
        known = known.after(
            nonce, now=START + timedelta(minutes=minute), host_name=host_name, address=address
        )
    return known


def test_two_hosts_are_told_with_names_addresses_and_times() -> None:
    one, two = ("A", "one", "192.0.2.1"), ("B", "two", "192.0.2.2")
    known = polled(one, two, ("A", None, "192.0.2.1"), ("B", None, "192.0.2.2"))
    found = [
        (host.host_name, host.address, (host.first - START).seconds // 60, (host.last - START).seconds // 60)
        for host in known.hosts()
    ]
    assert found == [("one", "192.0.2.1", 0, 2), ("two", "192.0.2.2", 1, 3)]
    assert Boots.from_dict(known.to_dict()) == known


def test_a_host_whose_updater_was_started_anew_is_one_host() -> None:
    known = polled(("A", "one", "192.0.2.1"), ("B", "one", "192.0.2.1"))
    (host,) = known.hosts()
    assert (host.first, host.last) == (START, START + timedelta(minutes=1))


def test_starts_written_before_hosts_were_are_read() -> None:
    at = "2026-11-22T08:00:00Z"
    (host,) = Boots.from_dict({"recent": [{"nonce": "A", "first": at, "last": at}], "crossed": None}).hosts()
    assert (host.nonce, host.host_name, host.address) == ("A", None, None)
