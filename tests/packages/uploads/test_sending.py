"""The loop of an upload against a portal that misbehaves as it is told.

That a real portal gets a real bundle through all of this is in `tests/e2e/test_uploads.py`.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engineshed_packages.errors import Conflict, PackagesError, SourceRefused, Unavailable
from engineshed_packages.transport import HttpClient, HttpRefused
from engineshed_packages.uploads import portal, sending
from engineshed_packages.uploads.memory import Memory, SentFile
from engineshed_packages.uploads.patience import Patience
from engineshed_packages.uploads.portal import Published, UploadPortal
from engineshed_packages.uploads.sending import next_chunk_bytes, send_file
from tests.faulty_http import Exchange, FaultyServer, answers

UPLOAD = "upl_" + "a" * 20
PATH = f"/api/v1/uploads/{UPLOAD}"
DATA = bytes(range(256)) * 10


class ScriptedUploads:
    """A portal with one upload; what each request is answered may be put before the honest answer.

    Attributes:
        had: what came, as the portal counts it.
    """

    def __init__(self, server: FaultyServer) -> None:
        self.server = server
        self.had = b""
        self.states: list[dict[str, object]] = [{"state": "done", "result": {"code": "published"}}]
        self.faults: dict[str, list[int]] = {}
        server.at("/api/v1/uploads", self.create)
        server.at(PATH, self.one)

    def fail(self, method: str, *statuses: int) -> None:
        """Answer the next requests of *method* with these statuses; 0 cuts the connection."""
        self.faults[method] = list(statuses)

    def _fails(self, exchange: Exchange) -> bool:
        waiting = self.faults.get(exchange.request.method, [])
        if not waiting:
            return False
        status = waiting.pop(0)
        told = json.dumps({"code": f"code-{status}", "detail": "told so"}).encode()
        if not status:
            exchange.close()
        elif exchange.request.method == "HEAD":  # has no body: it would be taken for the next answer
            exchange.head(status, {"Content-Length": str(len(told))})
        else:
            answers.json(told, status)(exchange)
        return True

    def create(self, exchange: Exchange) -> None:
        if not self._fails(exchange):
            exchange.head(201, {"Location": PATH, "Content-Length": "0"})

    def one(self, exchange: Exchange) -> None:
        if self._fails(exchange):
            return
        request = exchange.request
        if request.method == "PATCH":
            assert int(request.headers["upload-offset"]) == len(self.had)
            self.had += request.body
        if request.method == "GET":
            state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            answers.json(json.dumps({"upload": UPLOAD, **state}).encode())(exchange)
        else:
            exchange.head(200, {"Upload-Offset": str(len(self.had)), "Content-Length": "0"})

    def methods(self) -> list[str]:
        return [request.method for request in self.server.requests]


class Sender:
    """Sends one file; its waits take no time."""

    def __init__(self, scripted: ScriptedUploads, path: Path, state: Path) -> None:
        self.scripted = scripted
        self.path = path
        self.memory = Memory(state)
        self.told: list[str] = []
        self.slept: list[float] = []
        self.shown: list[int] = []

    def send(self, *, give_up_s: float = 60) -> Published:
        now = [0.0]

        def sleep(seconds: float) -> None:
            self.slept.append(seconds)
            now[0] += seconds

        patience = Patience(give_up_s, tell=self.told.append, sleep=sleep, clock=lambda: now[0])
        with HttpClient(read_timeout_s=5) as client:
            return send_file(
                UploadPortal(client, self.scripted.server.url, "token"),
                self.path,
                memory=self.memory,
                patience=patience,
                tell=self.told.append,
                show=lambda done, total: self.shown.append(done),
            )

    def remembered(self) -> str | None:
        return self.memory.recall(self.scripted.server.url, SentFile.of(self.path))


@pytest.fixture
def scripted() -> Iterator[ScriptedUploads]:
    with FaultyServer() as server:
        yield ScriptedUploads(server)


@pytest.fixture
def sender(scripted: ScriptedUploads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sender:
    monkeypatch.setattr(sending, "FIRST_CHUNK_BYTES", 1000)
    (tmp_path / "bündle.zip").write_bytes(DATA)
    return Sender(scripted, tmp_path / "bündle.zip", tmp_path / "state")


def test_a_file_is_announced_sent_and_its_outcome_asked_for(sender: Sender) -> None:
    published = sender.send()
    assert (published.code, sender.scripted.had, sender.remembered()) == ("published", DATA, None)
    assert sender.scripted.methods() == ["POST", "PATCH", "PATCH", "GET"]
    headers = sender.scripted.server.requests[0].headers
    name = base64.b64encode("bündle.zip".encode()).decode()
    assert headers["upload-metadata"] == f"filename {name}"
    assert headers["upload-length"] == str(len(DATA))
    assert {request.headers["authorization"] for request in sender.scripted.server.requests} == {
        "Bearer token"
    }
    assert sender.shown[-1] == len(DATA)
    assert sender.shown == sorted(sender.shown)


def test_where_nothing_else_guards_them_chunks_carry_their_checksum(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portal, "needs_checksum", lambda url: True)
    sender.send()
    sent = [one for one in sender.scripted.server.requests if one.method == "PATCH"]
    digests = [base64.b64encode(hashlib.sha256(one.body).digest()).decode() for one in sent]
    assert [one.headers["upload-checksum"] for one in sent] == [f"sha256 {digest}" for digest in digests]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://portal.example:8080", True),
        ("https://portal.example", False),
        ("http://127.0.0.1:8080", False),
        ("http://localhost", False),
    ],
)
def test_tls_and_loopback_need_no_checksum(url: str, expected: bool) -> None:
    assert portal.needs_checksum(url) == expected


@pytest.mark.parametrize("status", [0, 408, 409, 423, 429, 460, 500, 503, 507])
def test_after_a_failure_the_portal_is_asked_how_much_it_has(sender: Sender, status: int) -> None:
    sender.scripted.fail("PATCH", status)
    assert sender.send().code == "published"
    assert sender.scripted.methods() == ["POST", "PATCH", "HEAD", "PATCH", "PATCH", "GET"]
    assert (sender.scripted.had, len(sender.slept), len(sender.told)) == (DATA, 1, 1)


def test_what_the_portal_has_is_not_sent_again(sender: Sender) -> None:
    scripted = sender.scripted

    def counted_and_cut(exchange: Exchange) -> None:
        scripted.had += exchange.request.body
        exchange.close()  # the answer is lost

    scripted.server.at(PATH, counted_and_cut, scripted.one)
    sender.send()
    assert scripted.had == DATA
    assert sum(len(request.body) for request in scripted.server.requests) == len(DATA)


@pytest.mark.parametrize("fails", ["HEAD", "GET"])
def test_a_failure_anywhere_is_borne(sender: Sender, fails: str) -> None:
    sender.scripted.fail("PATCH", 0)
    sender.scripted.fail(fails, 0, 503)
    assert sender.send().code == "published"
    assert sender.scripted.had == DATA


@pytest.mark.parametrize(
    ("status", "kind"),
    [(0, Unavailable), (401, HttpRefused), (403, HttpRefused), (413, HttpRefused), (429, Unavailable)],
)
def test_before_it_has_begun_a_failure_is_final(
    sender: Sender, status: int, kind: type[PackagesError]
) -> None:
    sender.scripted.fail("POST", status)
    with pytest.raises(kind) as caught:
        sender.send()
    assert sender.slept == []
    assert getattr(caught.value, "status", None) == (status or None)


def test_when_patience_is_over_the_upload_is_remembered(sender: Sender) -> None:
    sender.scripted.fail("PATCH", *[503] * 20)
    with pytest.raises(Unavailable) as caught:
        sender.send(give_up_s=20)
    assert (caught.value.status, caught.value.problem) == (503, "code-503")
    assert sender.remembered() == UPLOAD


def test_a_second_start_goes_on_where_the_first_one_was(sender: Sender) -> None:
    sender.memory.keep(sender.scripted.server.url, SentFile.of(sender.path), upload_id=UPLOAD)
    sender.scripted.had = DATA[:2000]
    assert sender.send().code == "published"
    assert sender.scripted.methods() == ["HEAD", "PATCH", "GET"]
    assert (sender.scripted.had, sender.shown[0], sender.remembered()) == (DATA, 2000, None)


def test_a_changed_file_begins_anew(sender: Sender) -> None:
    sender.memory.keep(sender.scripted.server.url, SentFile.of(sender.path), upload_id=UPLOAD)
    sender.path.write_bytes(DATA + b"more")
    sender.send()
    assert sender.scripted.methods()[0] == "POST"


@pytest.mark.parametrize("status", [404, 410])
def test_an_upload_the_portal_does_not_know_begins_anew(sender: Sender, status: int) -> None:
    sender.memory.keep(sender.scripted.server.url, SentFile.of(sender.path), upload_id=UPLOAD)
    sender.scripted.fail("HEAD", status)
    assert sender.send().code == "published"
    assert sender.scripted.methods()[:2] == ["HEAD", "POST"]
    assert "begins anew" in sender.told[0]


def test_a_token_that_is_refused_later_costs_nothing_that_was_sent(sender: Sender) -> None:
    sender.scripted.fail("PATCH", 401)
    with pytest.raises(HttpRefused):
        sender.send()
    assert sender.remembered() == UPLOAD


def test_a_file_that_is_changed_meanwhile_is_told(sender: Sender) -> None:
    def changing(exchange: Exchange) -> None:
        sender.path.write_bytes(b"other")
        sender.scripted.one(exchange)

    sender.scripted.server.at(PATH, changing, sender.scripted.one)
    with pytest.raises(Conflict) as caught:
        sender.send()
    assert caught.value.code == "file-changed"


def test_a_refused_bundle_is_refused_with_the_portals_reason(sender: Sender) -> None:
    problem = {"status": 409, "code": "release-other-bytes", "detail": "this version is known"}
    sender.scripted.states = [{"state": "failed", "problem": problem}]
    with pytest.raises(HttpRefused) as caught:
        sender.send()
    assert (caught.value.status, caught.value.problem) == (409, "release-other-bytes")
    assert "this version is known" in caught.value.message
    assert sender.remembered() is None


def test_the_ingest_is_waited_for_and_its_waiting_is_told(sender: Sender) -> None:
    full = {"status": 507, "code": "disk-full", "detail": "no space left"}
    sender.scripted.states = [
        {"state": "complete"},
        {"state": "ingesting"},
        {"state": "complete", "problem": full},
        {"state": "done", "result": {"code": "unchanged", "notices": ["known"]}},
    ]
    published = sender.send()
    assert (published.code, published.notices) == ("unchanged", ("known",))
    assert published.lines() == ("unchanged: nothing in it is new here",)
    assert len(sender.slept) == 3
    assert "no space left" in sender.told[0]


def test_an_ingest_that_has_to_wait_too_long_is_75_and_nothing_is_sent_again(sender: Sender) -> None:
    full = {"status": 507, "code": "disk-full", "detail": "no space left"}
    sender.scripted.states = [{"state": "complete", "problem": full}]
    with pytest.raises(Unavailable) as caught:
        sender.send(give_up_s=20)
    assert (caught.value.status, caught.value.problem) == (507, "disk-full")
    assert sender.remembered() == UPLOAD


@pytest.mark.parametrize("headers", [{}, {"Location": "https://evil.example/upl_x"}, {"Location": "/"}])
def test_an_answer_that_names_no_upload_is_no_portals(sender: Sender, headers: dict[str, str]) -> None:
    sender.scripted.server.at("/api/v1/uploads", answers.status(201, headers))
    with pytest.raises(SourceRefused) as caught:
        sender.send()
    assert caught.value.code == "upload-unreadable"


def test_the_token_goes_nowhere_but_to_the_portal(sender: Sender) -> None:
    with FaultyServer() as elsewhere:
        location = f"{elsewhere.url}{PATH}"
        sender.scripted.server.at("/api/v1/uploads", answers.status(201, {"Location": location}))
        assert sender.send().code == "published"
        assert elsewhere.requests == []


def test_stopped_by_the_keyboard_it_says_how_to_go_on(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: object, **options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(UploadPortal, "send", stop)
    with pytest.raises(KeyboardInterrupt):
        sender.send()
    assert (sender.told, sender.remembered()) == (
        ["stopped: the same command goes on with bündle.zip"],
        UPLOAD,
    )


@pytest.mark.parametrize(
    ("chunk", "took_s", "expected"),
    [
        (1 << 20, 0.1, 2 << 20),
        (16 << 20, 0.1, 16 << 20),
        (4 << 20, 8, 4 << 20),
        (4 << 20, 20, 2 << 20),
        (256 << 10, 60, 256 << 10),
    ],
)
def test_chunks_are_as_long_as_the_line_is_fast(chunk: int, took_s: float, expected: int) -> None:
    assert next_chunk_bytes(chunk, took_s) == expected
