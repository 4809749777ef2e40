"""The portal as an engine may use it, over real sockets, honest and not."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from engineshed_client import fetch
from engineshed_client.errors import (
    ContentRefused,
    EnrolmentRefused,
    PortalUnavailable,
    Refused,
    SettingsRefused,
)
from engineshed_client.fetch import Portal, http_client
from engineshed_client.fsops import FsOps
from engineshed_client.paths import Paths
from engineshed_client.seen import SeenFile
from engineshed_client.settings import Settings
from engineshed_packages.ids import new_id
from engineshed_packages.protocol import Outcome, Poll, Report
from engineshed_packages.repository.releases import ReleaseTerms
from engineshed_packages.times import format_time
from engineshed_packages.versions import Version
from tests.client.scripted_portal import ScriptedPortal, now
from tests.faulty_http import Answer, FaultyServer, answers
from tests.packages.forgery import rotate_online_key, sign_with_stolen_online_key
from tests.vendor import Vendor

REVOKED = answers.json(b'{"code": "engine-revoked", "detail": "the engine is revoked"}', 401)


@pytest.fixture
def scripted() -> Iterator[ScriptedPortal]:
    with ScriptedPortal() as portal:
        yield portal


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    return Vendor(tmp_path)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "base" / "update").mkdir(parents=True)
    return Paths(tmp_path / "base")


Connect = Callable[..., Portal]


@pytest.fixture
def connect(paths: Paths, scripted: ScriptedPortal) -> Iterator[Connect]:
    made: list[Portal] = []

    def connect(*portals: str, root: bytes = b"", max_rate_kib: int | None = None) -> Portal:
        fs = FsOps()
        (paths.update / "trusted_root.json").write_bytes(root)
        settings = Settings(
            base=paths.base,
            product="sample-engine",
            platform="any",
            portals=portals,
            max_rate_kib=max_rate_kib,
            trusted_root=paths.update / "trusted_root.json",
        )
        made.append(
            Portal(
                scripted.credentials,
                settings=settings,
                paths=paths,
                fs=fs,
                seen=SeenFile(paths, fs),
                now=now,
            )
        )
        return made[-1]

    yield connect
    for portal in made:
        portal.close()


@pytest.fixture
def portal(connect: Connect) -> Portal:
    return connect()


def a_poll(scripted: ScriptedPortal) -> Poll:
    return Poll(
        engine=scripted.engine_id,
        product="sample-engine",
        platform="any",
        version=Version.parse("1.0.0"),
        state="IDLE",
        boot="boot",
        clock=now(),
        updater_version="0.1.0",
    )


def a_report(scripted: ScriptedPortal) -> Report:
    return Report(
        attempt=new_id("att"),
        engine=scripted.engine_id,
        product="sample-engine",
        outcome=Outcome.OK,
        code="ok",
        message="",
        from_version=None,
        to_version=None,
        version=None,
        started=now(),
        ended=now(),
        updater_version="0.1.0",
    )


def paths_of(scripted: ScriptedPortal) -> list[str]:
    return [request.path for request in scripted.server.requests]


def test_a_poll_is_answered(scripted: ScriptedPortal, portal: Portal) -> None:
    assert portal.poll(a_poll(scripted)).code == "up-to-date"


def test_the_token_is_bought_once_and_kept(scripted: ScriptedPortal, portal: Portal) -> None:
    for _ in range(3):
        portal.poll(a_poll(scripted))
    assert paths_of(scripted) == ["/api/v1/token"] + 3 * ["/api/v1/poll"]


def test_the_secret_is_sent_for_a_token_and_nowhere_else(scripted: ScriptedPortal, portal: Portal) -> None:
    portal.poll(a_poll(scripted))
    told = [scripted.secret.encode() in request.body for request in scripted.server.requests]
    assert told == [True, False]


def test_a_token_past_its_end_is_renewed_before_it_is_used(scripted: ScriptedPortal, portal: Portal) -> None:
    scripted.server.at("/api/v1/token", answers.json(b'{"access_token": "short", "expires_s": 1}'))
    portal.poll(a_poll(scripted))
    time.sleep(0.6)
    portal.poll(a_poll(scripted))
    assert paths_of(scripted) == 2 * ["/api/v1/token", "/api/v1/poll"]


def test_a_refused_token_is_renewed_once(scripted: ScriptedPortal, portal: Portal) -> None:
    scripted.allow("old", "new")
    portal.poll(a_poll(scripted))
    scripted.server.at("/api/v1/poll", REVOKED, answers.json(scripted.no_news().to_bytes()))
    portal.poll(a_poll(scripted))
    tokens = [one.headers.get("authorization") for one in scripted.server.requests]
    assert tokens == [None, "Bearer old", "Bearer old", None, "Bearer new"]


def test_a_revoked_engine_is_told_so(scripted: ScriptedPortal, portal: Portal) -> None:
    scripted.server.at("/api/v1/poll", REVOKED)
    with pytest.raises(EnrolmentRefused) as caught:
        portal.poll(a_poll(scripted))
    assert caught.value.code == "engine-revoked"


def test_a_refused_secret_is_told_so(scripted: ScriptedPortal, portal: Portal) -> None:
    scripted.server.at("/api/v1/token", answers.json(b'{"code": "engine-secret-wrong"}', 401))
    with pytest.raises(EnrolmentRefused) as caught:
        portal.poll(a_poll(scripted))
    assert caught.value.code == "engine-secret-wrong"


def test_no_token_is_in_any_address_or_message(scripted: ScriptedPortal, portal: Portal) -> None:
    scripted.server.at("/api/v1/poll", REVOKED)
    with pytest.raises(EnrolmentRefused) as caught:
        portal.poll(a_poll(scripted))
    assert "access-1" not in str(caught.value) + " ".join(paths_of(scripted))


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (answers.html(), "not-json"),
        (answers.status(302, {"Location": "http://127.0.0.1:1/"}), "http-302"),
        (answers.status(401), "http-401"),
        (answers.status(403), "http-403"),
        (answers.status(429), "http-429"),
        (answers.status(500), "http-500"),
        (answers.status(503), "http-503"),
        (answers.json(b"{}"), "answer-unreadable"),
        (answers.json(b"not json"), "json-unreadable"),
        (answers.truncated(b"{" * 100, 10, {"Content-Type": "application/json"}), "unreachable"),
        (answers.endless({"Content-Type": "application/json"}), "too-large"),
    ],
)
def test_trouble_with_the_portal_has_its_code(
    scripted: ScriptedPortal, portal: Portal, answer: Answer, code: str
) -> None:
    scripted.server.at("/api/v1/poll", answer)
    with pytest.raises(PortalUnavailable) as caught:
        portal.poll(a_poll(scripted))
    assert caught.value.code == code


@pytest.mark.parametrize("answer", [answers.silent(), answers.dripping(b"{" * 900, 0.02)])
def test_a_slow_portal_is_given_up_at_the_deadline(
    scripted: ScriptedPortal, connect: Connect, monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    monkeypatch.setattr(fetch, "SMALL_DEADLINE_S", 1)
    scripted.server.at("/api/v1/poll", answer)
    with pytest.raises(PortalUnavailable) as caught:
        connect().poll(a_poll(scripted))
    assert caught.value.code in ("deadline", "timeout")


def test_how_long_to_wait_is_handed_on(scripted: ScriptedPortal, portal: Portal) -> None:
    scripted.server.at("/api/v1/poll", answers.status(429, {"Retry-After": "17"}))
    with pytest.raises(PortalUnavailable) as caught:
        portal.poll(a_poll(scripted))
    assert caught.value.retry_after_s == 17


def test_the_next_address_is_tried_when_one_is_in_trouble(scripted: ScriptedPortal, connect: Connect) -> None:
    with FaultyServer() as broken:
        broken.at("/api/v1/token", answers.status(500))
        assert connect(broken.url, scripted.server.url).poll(a_poll(scripted)).code == "up-to-date"


def test_the_address_that_answered_is_asked_first_next_time(
    scripted: ScriptedPortal, connect: Connect
) -> None:
    with FaultyServer() as broken:
        portal = connect(broken.url, scripted.server.url)
        portal.poll(a_poll(scripted))
        portal.poll(a_poll(scripted))
        assert len(broken.requests) == 1


def test_a_token_is_sent_to_the_address_it_came_from_only(scripted: ScriptedPortal, connect: Connect) -> None:
    with FaultyServer() as other:
        portal = connect(scripted.server.url, other.url)
        portal.poll(a_poll(scripted))
        scripted.server.at("/api/v1/poll", answers.status(500))
        with pytest.raises(PortalUnavailable):
            portal.poll(a_poll(scripted))
        assert [request.path for request in other.requests] == ["/api/v1/token"]


def test_a_report_is_acknowledged(scripted: ScriptedPortal, portal: Portal) -> None:
    report = a_report(scripted)
    portal.send_report(report)
    assert scripted.reports() == [report]


def test_a_report_the_portal_will_never_take_is_refused(scripted: ScriptedPortal, portal: Portal) -> None:
    scripted.server.at("/api/v1/reports", answers.json(b'{"code": "report-unreadable"}', 400))
    with pytest.raises(Refused) as caught:
        portal.send_report(a_report(scripted))
    assert caught.value.code == "report-unreadable"


def test_a_report_of_another_engine_is_refused_for_good(scripted: ScriptedPortal, portal: Portal) -> None:
    scripted.server.at("/api/v1/reports", answers.json(b'{"code": "engine-mismatch"}', 403))
    with pytest.raises(Refused) as caught:
        portal.send_report(a_report(scripted))
    assert (caught.value.code, type(caught.value)) == ("engine-mismatch", Refused)


def test_a_refusal_by_something_in_between_is_tried_again_later(
    scripted: ScriptedPortal, portal: Portal
) -> None:
    scripted.server.at("/api/v1/reports", answers.status(404))
    with pytest.raises(PortalUnavailable):
        portal.send_report(a_report(scripted))


def test_the_vendors_metadata_is_verified_and_remembered(
    scripted: ScriptedPortal, connect: Connect, vendor: Vendor, paths: Paths
) -> None:
    target = vendor.release("1.1.0", terms=ReleaseTerms(floor=Version.parse("1.0.0")))
    scripted.publish(vendor)
    assert connect(root=vendor.root).open_view().find(target.path) == target
    seen = SeenFile(paths, FsOps()).load()
    assert (seen.metadata.root_version, seen.floors) == (1, {"sample-engine": Version.parse("1.0.0")})


def test_an_older_repository_is_refused_even_without_the_cache(
    scripted: ScriptedPortal, connect: Connect, vendor: Vendor, paths: Paths
) -> None:
    vendor.release("1.0.0")
    older = ScriptedPortal()
    with older:
        older.publish(vendor)
        vendor.release("1.1.0")
        scripted.publish(vendor)
        connect(root=vendor.root).open_view()
        FsOps().rename(paths.metadata, paths.base / "lost")
        with pytest.raises(ContentRefused) as caught:
            connect(older.server.url, root=vendor.root).open_view()
    assert caught.value.code == "metadata-rollback"


def test_a_version_that_could_not_be_read_back_is_refused_and_nothing_seen_is_lost(
    scripted: ScriptedPortal, connect: Connect, vendor: Vendor, paths: Paths
) -> None:
    vendor.release("1.1.0", terms=ReleaseTerms(floor=Version.parse("1.0.0")))
    scripted.publish(vendor)
    connect(root=vendor.root).open_view()
    before = SeenFile(paths, FsOps()).load()
    sign_with_stolen_online_key(vendor, timestamp_version=2**53)
    scripted.publish(vendor)
    with pytest.raises(ContentRefused) as caught:
        connect(root=vendor.root).open_view()
    assert caught.value.code == "metadata-version-absurd"
    assert SeenFile(paths, FsOps()).load() == before


def test_a_repaired_repository_is_accepted_by_an_engine_that_saw_a_date_put_ahead(
    scripted: ScriptedPortal, connect: Connect, vendor: Vendor, paths: Paths
) -> None:
    target = vendor.release("1.1.0")
    sign_with_stolen_online_key(vendor, issued=format_time(vendor.now + timedelta(days=4 * 365)))
    scripted.publish(vendor)
    assert connect(root=vendor.root).open_view().find(target.path) is None
    rotate_online_key(vendor)
    scripted.publish(vendor)
    assert connect(root=vendor.root).open_view().find(target.path) == target
    assert SeenFile(paths, FsOps()).load().metadata.newest_date == vendor.now


def test_a_strangers_repository_is_refused(
    scripted: ScriptedPortal, connect: Connect, vendor: Vendor, tmp_path: Path
) -> None:
    stranger = Vendor(tmp_path, name="stranger")
    stranger.release("1.1.0")
    scripted.publish(stranger)
    with pytest.raises(ContentRefused) as caught:
        connect(root=vendor.root).open_view()
    assert caught.value.code == "metadata-signature"


def test_metadata_behind_a_login_page_is_the_portals_trouble(
    scripted: ScriptedPortal, connect: Connect, vendor: Vendor
) -> None:
    vendor.release("1.1.0")
    scripted.publish(vendor)
    scripted.server.at("/repo/v1/vendor/metadata/timestamp.json", answers.status(403))
    with pytest.raises(PortalUnavailable):
        connect(root=vendor.root).open_view()


def test_without_the_vendors_root_it_is_said_where_it_comes_from(connect: Connect, paths: Paths) -> None:
    portal = connect()
    (paths.update / "trusted_root.json").unlink()
    with pytest.raises(SettingsRefused, match="it comes from the vendor"):
        portal.open_view()


def nothing(received: int, total: int) -> None:
    """No progress shown."""


def test_a_package_is_downloaded_whole(
    scripted: ScriptedPortal, portal: Portal, vendor: Vendor, tmp_path: Path
) -> None:
    target = vendor.release("1.1.0")
    scripted.publish(vendor)
    shown: list[tuple[int, int]] = []
    portal.download(target, tmp_path / "a.part", progress=lambda *now: shown.append(now))
    assert (tmp_path / "a.part").read_bytes() == vendor.package_bytes(target)
    assert shown[-1] == (target.length_bytes, target.length_bytes)


def test_a_download_is_no_faster_than_the_administrator_wants(
    scripted: ScriptedPortal,
    connect: Connect,
    vendor: Vendor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = vendor.release("1.1.0", packages=[vendor.package("1.1.0", files={"big": os.urandom(200_000)})])
    scripted.publish(vendor)
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    connect(max_rate_kib=1).download(target, tmp_path / "a.part", progress=nothing)
    # Nothing really waits here, so that each piece is told to wait for all that came before it as well.
    assert max(waited) == pytest.approx(target.length_bytes / 1024, rel=0.05)


def test_a_broken_download_goes_on_where_it_ended(
    scripted: ScriptedPortal, portal: Portal, vendor: Vendor, tmp_path: Path
) -> None:
    target = vendor.release("1.1.0")
    data = vendor.package_bytes(target)
    scripted.server.at(scripted.package_at(target), answers.truncated(data, 100), answers.file(data))
    with pytest.raises(PortalUnavailable):
        portal.download(target, tmp_path / "a.part", progress=nothing)
    portal.download(target, tmp_path / "a.part", progress=nothing)
    assert scripted.server.requests[-1].headers["range"] == "bytes=100-"
    assert (tmp_path / "a.part").read_bytes() == data


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda data: answers.html(), "not-a-package"),
        (lambda data: answers.partial(data[5:], f"bytes 5-{len(data) - 1}/{len(data)}"), "wrong-range"),
        (lambda data: answers.status(200, {}, data[:-1]), "wrong-length"),
        (lambda data: answers.endless(), "too-large"),
        (lambda data: answers.status(404), "missing"),
        (lambda data: answers.status(500), "http-500"),
    ],
)
def test_a_bad_download_has_its_code(
    scripted: ScriptedPortal,
    portal: Portal,
    vendor: Vendor,
    tmp_path: Path,
    make: Callable[[bytes], Answer],
    code: str,
) -> None:
    target = vendor.release("1.1.0")
    scripted.server.at(scripted.package_at(target), make(vendor.package_bytes(target)))
    with pytest.raises(PortalUnavailable) as caught:
        portal.download(target, tmp_path / "a.part", progress=nothing)
    assert caught.value.code == code


def test_a_package_elsewhere_is_fetched_without_the_token(
    scripted: ScriptedPortal, portal: Portal, vendor: Vendor, tmp_path: Path
) -> None:
    target = vendor.release("1.1.0")
    with FaultyServer() as other:
        other.at("/a.zip", answers.file(vendor.package_bytes(target)))
        scripted.server.at(scripted.package_at(target), answers.redirect(f"{other.url}/a.zip"))
        portal.download(target, tmp_path / "a.part", progress=nothing)
        assert "authorization" not in other.requests[0].headers


def test_a_missing_file_of_cas_is_told() -> None:
    with pytest.raises(SettingsRefused, match=r"ca_file /no/such/ca\.pem does not exist"):
        http_client(Path("/no/such/ca.pem"))
