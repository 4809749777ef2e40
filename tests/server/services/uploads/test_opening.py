"""Which uploads may begin: the number of open ones, and the space they may still need."""

from __future__ import annotations

import threading

import pytest

from engineshed_server.domain.uploads import missing_space_bytes
from engineshed_server.errors import TooLarge, TryLater
from engineshed_server.services.uploads import owning
from engineshed_server.storage.incoming import Incoming
from tests.server.portals import ACTOR, MakePortal
from tests.server.services.uploads.conftest import Sender, files, ingest_all, make_token


def refusal(sender: Sender, length: int) -> str:
    with pytest.raises((TryLater, TooLarge)) as caught:
        sender.open(length)
    return caught.value.code


def test_a_token_may_have_so_many_open_uploads_and_all_together_so_many(make_portal: MakePortal) -> None:
    house = make_portal(limits__open_uploads_per_token=2, limits__open_uploads=3)
    first, second = (Sender(house, make_token(house)) for _ in range(2))
    ids = [first.open(5), first.open(5)]
    assert refusal(first, 5) == "uploads-too-many"
    second.open(5)
    assert refusal(second, 5) == "uploads-too-many"
    owning.terminate_upload(house.portal, ids[0], asking=first.who, actor=ACTOR, now=house.now)
    assert second.open(5)


def test_an_upload_that_is_over_counts_no_more(make_portal: MakePortal) -> None:
    house = make_portal(limits__open_uploads_per_token=1)
    sender = Sender(house, make_token(house))
    sender.send_all(b"no zip")
    assert refusal(sender, 5) == "uploads-too-many"
    assert ingest_all(house) == 1
    assert sender.open(5)


def test_of_many_that_begin_at_once_no_more_get_through_than_may(make_portal: MakePortal) -> None:
    house = make_portal(limits__open_uploads_per_token=3)
    sender = Sender(house, make_token(house))
    results: list[str] = []

    def begin() -> None:
        try:
            results.append(sender.open(5)[:4])
        except TryLater as err:
            results.append(err.code)

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["upl_"] * 3 + ["uploads-too-many"] * 5


@pytest.mark.parametrize(
    ("length", "reserved", "free", "missing"),
    [(100, 0, 210, 0), (100, 0, 209, 1), (100, 50, 260, 0), (100, 50, 210, 50), (0, 0, 10, 0)],
)
def test_an_upload_needs_its_length_twice_beside_what_others_may_need(
    length: int, reserved: int, free: int, missing: int
) -> None:
    found = missing_space_bytes(length, reserved_bytes=reserved, free_bytes=free, keep_bytes=10)
    assert found == missing


def test_what_would_not_fit_on_the_disk_is_refused_at_once(
    make_portal: MakePortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = make_portal(limits__free_bytes=100)
    sender = Sender(house, make_token(house))
    monkeypatch.setattr(Incoming, "free_bytes", lambda self: 10_100)
    first = sender.open(3000)  # reserves 6000 of the 10000
    assert refusal(sender, 2001) == "disk-full"
    sender.send(first, b"x" * 1000, length_bytes=1000)  # these are on the disk already
    assert refusal(sender, 2501) == "disk-full"
    assert sender.open(2500)
    assert files(house) == [f"{first}.part"]
