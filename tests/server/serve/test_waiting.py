"""Connections kept for a next request stand in the order in which they were kept."""

import socket
from collections.abc import Iterator

import pytest

from engineshed_server.api.connections import Connection
from engineshed_server.serve.waiting import Kept, Peer


class OnePeer:
    def __init__(self, sock: Connection) -> None:
        self.sock = sock


@pytest.fixture
def peers() -> Iterator[list[Peer]]:
    made = [Connection(socket.socket().detach()) for _ in range(3)]
    yield [OnePeer(one) for one in made]
    for one in made:
        one.close()


def test_who_asked_again_is_kept_longest(peers: list[Peer]) -> None:
    kept = Kept()
    for peer in peers:
        kept.append(peer)
    kept.remove(peers[0])
    kept.append(peers[0])
    assert ([*kept], kept[0], len(kept)) == ([peers[1], peers[2], peers[0]], peers[1], 3)


def test_the_oldest_is_let_go_first(peers: list[Peer]) -> None:
    kept = Kept()
    for peer in peers:
        kept.append(peer)
    assert [kept.popleft() for _ in peers] == peers
    assert not kept
