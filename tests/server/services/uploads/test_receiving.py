"""Bytes come in: from two at once, after deaths of the process, onto a disk that fills up."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from engineshed_server.errors import Conflict, NotFound, Refused, ServerError, TryLater
from engineshed_server.services.uploads import owning, receiving
from engineshed_server.services.uploads.receiving import Checksum
from engineshed_server.storage import incoming
from tests.server.portals import ACTOR, House
from tests.server.services.uploads.conftest import ONE_DATABASE, Sender, in_pieces, place


def part(house: House, upload_id: str) -> bytes:
    return (house.portal.folders.incoming / f"{upload_id}.part").read_bytes()


def code(caught: pytest.ExceptionInfo[ServerError]) -> str:
    return caught.value.code


@ONE_DATABASE
def test_while_one_writes_another_is_told_to_wait(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "LOCK_WAIT_S", 0.0)
    monkeypatch.setattr(owning, "LOCK_WAIT_S", 0.0)
    upload_id = sender.open(2000)
    told: list[str] = []

    def pieces() -> Iterator[bytes]:
        yield b"a" * 1000
        for ask in (
            lambda: sender.send(upload_id, b"b" * 1000),
            lambda: owning.show_progress(
                sender.house.portal, upload_id, asking=sender.who, now=sender.house.now
            ),
            lambda: owning.terminate_upload(
                sender.house.portal, upload_id, asking=sender.who, actor=ACTOR, now=sender.house.now
            ),
        ):
            with pytest.raises(TryLater) as caught:
                ask()
            told.append(caught.value.code)
        yield b"a" * 1000

    assert sender.send(upload_id, b"a" * 2000, pieces=pieces()).state == "complete"
    assert told == ["upload-locked"] * 3
    assert part(sender.house, upload_id) == b"a" * 2000


def test_of_many_with_the_same_offset_one_wins(house: House, sender: Sender) -> None:
    upload_id = sender.open(4000)
    results: list[str] = []

    def send(letter: bytes) -> None:
        mine = sender.on(house.reopen())  # as another process has it
        try:
            results.append(mine.send(upload_id, letter * 2000).state)
        except (Conflict, TryLater) as err:
            results.append(err.code)

    threads = [threading.Thread(target=send, args=(bytes([65 + number]),)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["created"] + ["upload-offset"] * 5
    assert len(set(part(house, upload_id))) == 1
    assert sender.show(upload_id).offset_bytes == 2000


@ONE_DATABASE
def test_what_is_long_is_counted_on_the_way(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "CHECKPOINT_BYTES", 2000)
    upload_id = sender.open(10_000)
    seen: list[int] = []

    def pieces() -> Iterator[bytes]:
        for piece in in_pieces(b"x" * 10_000):
            seen.append(sender.show(upload_id).offset_bytes)
            yield piece

    sender.send(upload_id, b"x" * 10_000, pieces=pieces())
    assert seen == [0, 0, 2000, 2000, 4000, 4000, 6000, 6000, 8000, 8000]


def test_the_upload_lives_a_day_from_its_last_byte(house: House, sender: Sender) -> None:
    upload_id = sender.open(2000)
    house.tick(hours=23)
    sender.send(upload_id, b"x" * 1000)
    house.tick(hours=23)
    assert sender.show(upload_id).offset_bytes == 1000
    house.tick(hours=2)
    with pytest.raises(NotFound) as caught:
        sender.send(upload_id, b"x" * 1000, offset=1000)
    assert code(caught) == "upload-expired"


@ONE_DATABASE
def test_another_checksum_takes_back_the_whole_chunk_and_no_more(house: House, sender: Sender) -> None:
    upload_id = sender.open(4000)
    sender.send(upload_id, b"a" * 1500)
    wrong = Checksum(algorithm="sha256", digest=hashlib.sha256(b"other").digest())
    with pytest.raises(Refused) as caught:
        sender.send(upload_id, b"b" * 1500, offset=1500, checksum=wrong)
    assert (code(caught), part(house, upload_id)) == ("upload-checksum", b"a" * 1500)
    right = Checksum(algorithm="sha256", digest=hashlib.sha256(b"b" * 1500).digest())
    assert sender.send(upload_id, b"b" * 1500, offset=1500, checksum=right).offset_bytes == 3000


KILLED_PROCESS = """
import os, signal, sys
from datetime import datetime
from engineshed_server.db import uploads
from engineshed_server.domain.uploads import Uploader
from engineshed_server.services.api_tokens import list_api_tokens
from engineshed_server.services.uploads.receiving import Chunk, receive
from engineshed_server.settings import load_settings
from engineshed_server.storage import incoming
from engineshed_server.wiring import open_portal

data_dir, database_url, upload_id, now, when = sys.argv[1:]
flags = {"portal.data_dir": data_dir, "database.url": database_url}
portal = open_portal(load_settings(None, {}, flags=flags))
incoming.CHECKPOINT_BYTES = 3000

def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)

def pieces():
    for number in range(10):
        if when == f"piece-{number}":
            die()
        yield bytes([65 + number]) * 1000

if when == "fsync":
    os.fsync = die
if when == "count":
    uploads.move_offset = die
chunk = Chunk(offset_bytes=0, length_bytes=10000, pieces=pieces())
(token,) = list_api_tokens(portal, limit=2).tokens
asking = Uploader(token_id=token.token_id)
receive(portal, upload_id, chunk=chunk, asking=asking, now=datetime.fromisoformat(now))
"""


@ONE_DATABASE
@pytest.mark.parametrize(
    ("when", "counted"),
    [("piece-0", 0), ("piece-2", 0), ("fsync", 0), ("count", 0), ("piece-5", 3000), ("piece-9", 9000)],
)
def test_killed_in_the_middle_only_durable_bytes_count_and_the_rest_is_cut_off(
    house: House, sender: Sender, when: str, counted: int
) -> None:
    upload_id = sender.open(10_000)
    whole = b"".join(bytes([65 + number]) * 1000 for number in range(10))
    words = [*place(house), upload_id, house.now.isoformat(), when]
    done = subprocess.run([sys.executable, "-c", KILLED_PROCESS, *words], check=False)
    assert done.returncode == -9
    again = sender.on(house.reopen())
    found = owning.show_progress(again.house.portal, upload_id, asking=sender.who, now=house.now)
    assert found.offset_bytes == counted
    assert again.send(upload_id, whole[counted:], offset=counted).state == "complete"
    assert part(house, upload_id) == whole


DISK_FULL = """
import resource, signal, sys
from datetime import datetime
from engineshed_server.errors import TryLater
from engineshed_server.domain.uploads import Uploader
from engineshed_server.services.api_tokens import list_api_tokens
from engineshed_server.services.uploads.receiving import Checksum, Chunk, receive
from engineshed_server.settings import load_settings
from engineshed_server.wiring import open_portal

data_dir, database_url, upload_id, now, checked = sys.argv[1:]
flags = {"portal.data_dir": data_dir, "database.url": database_url}
portal = open_portal(load_settings(None, {}, flags=flags))
checksum = Checksum(algorithm="sha1", digest=bytes(20)) if checked == "yes" else None
pieces = (b"x" * 1_000_000 for _ in range(6))
chunk = Chunk(offset_bytes=0, length_bytes=6_000_000, pieces=pieces, checksum=checksum)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3_500_000, 3_500_000))
try:
    (token,) = list_api_tokens(portal, limit=2).tokens
    asking = Uploader(token_id=token.token_id)
    receive(portal, upload_id, chunk=chunk, asking=asking, now=datetime.fromisoformat(now))
except TryLater as err:
    print(err.code)
"""


@ONE_DATABASE
@pytest.mark.parametrize(("checked", "counted"), [("no", 3_000_000), ("yes", 0)])
def test_on_a_full_disk_whole_pieces_count_and_nothing_is_half_written(
    house: House, sender: Sender, checked: str, counted: int
) -> None:
    # a limit on the size of files: EFBIG arrives where ENOSPC would, in the middle of a piece
    upload_id = sender.open(6_000_000)
    words = [*place(house), upload_id, house.now.isoformat(), checked]
    done = subprocess.run(
        [sys.executable, "-c", DISK_FULL, *words], capture_output=True, text=True, check=True
    )
    assert done.stdout == "disk-full\n"
    assert sender.show(upload_id).offset_bytes == counted
    assert part(house, upload_id) == b"x" * counted
    assert sender.send(upload_id, b"x" * (6_000_000 - counted), offset=counted).state == "complete"


@ONE_DATABASE
def test_bytes_that_could_not_be_made_durable_do_not_count(
    house: House, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = sender.open(2000)

    def failing(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing)
        with pytest.raises(TryLater) as caught:
            sender.send(upload_id, b"x" * 2000)
    assert (code(caught), sender.show(upload_id).offset_bytes) == ("storage-failed", 0)
    assert sender.send(upload_id, b"y" * 2000).state == "complete"
    assert part(house, upload_id) == b"y" * 2000
