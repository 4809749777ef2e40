"""Enrolment: nothing is written before everything was found right."""

from __future__ import annotations

import itertools
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engineshed_client.agent import connect, open_base
from engineshed_client.enrol import Joining, enrol, enrol_again, read_credentials
from engineshed_client.errors import (
    ContentRefused,
    EnrolmentRefused,
    PortalUnavailable,
    SettingsRefused,
    TryLater,
)
from engineshed_client.fsops import FsOps
from engineshed_client.journal import State
from engineshed_client.paths import Paths
from engineshed_client.seen import Seen, SeenFile
from engineshed_client.settings import load_settings
from engineshed_packages.enrolment import EnrolAnswer, EnrolRequest, OrderKey, fingerprint
from engineshed_packages.ids import derived_id
from engineshed_packages.order_keys import make_order_key
from engineshed_packages.orders import Accepted
from engineshed_packages.versions import Version
from tests.authority import Authority
from tests.client.host import Killed, KillingFs
from tests.client.scripted_portal import ScriptedPortal
from tests.faulty_http import Answer, answers
from tests.vendor import Vendor


@pytest.fixture
def portal() -> Iterator[ScriptedPortal]:
    with ScriptedPortal() as portal:
        yield portal


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "base").mkdir()
    return Paths(tmp_path / "base")


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    return Vendor(tmp_path)


@pytest.fixture
def joining(portal: ScriptedPortal, vendor: Vendor, tmp_path: Path) -> Joining:
    (tmp_path / "root.json").write_bytes(vendor.root)
    return Joining(
        line=portal.line,
        product="sample-engine",
        platform="any",
        trusted_root=tmp_path / "root.json",
        ca_file=None,
        version=Version.parse("1.0.0"),
    )


def written(paths: Paths) -> list[str]:
    return sorted(path.relative_to(paths.base).as_posix() for path in paths.base.rglob("*"))


def enrolments(portal: ScriptedPortal) -> list[EnrolRequest]:
    arrived = [one for one in portal.server.requests if one.path == "/api/v1/enrol"]
    return [EnrolRequest.from_bytes(one.body) for one in arrived]


def test_an_enrolled_base_has_identity_root_and_settings(
    joining: Joining, paths: Paths, vendor: Vendor
) -> None:
    answer = enrol(joining, paths, FsOps())
    assert read_credentials(paths) == answer
    assert (paths.update / "trusted_root.json").read_bytes() == vendor.root
    assert load_settings(paths.base, environ={}, flags={}).product == "sample-engine"


def test_the_identity_is_for_its_owner_only(joining: Joining, paths: Paths) -> None:
    enrol(joining, paths, FsOps())
    assert stat.S_IMODE(paths.credentials.stat().st_mode) == 0o600


def test_the_portal_is_told_product_platform_and_version(
    joining: Joining, paths: Paths, portal: ScriptedPortal
) -> None:
    enrol(joining, paths, FsOps())
    (told,) = enrolments(portal)
    assert (told.product, told.platform, told.version) == ("sample-engine", "any", Version.parse("1.0.0"))


def test_settings_that_are_there_are_left_alone(joining: Joining, paths: Paths) -> None:
    paths.update.mkdir()
    paths.settings.write_text('product = "sample-engine"\npoll_s = 7\n')
    enrol(joining, paths, FsOps())
    assert load_settings(paths.base, environ={}, flags={}).poll_s == 7


def test_another_engine_folder_is_written_down(joining: Joining, paths: Paths) -> None:
    enrol(joining, Paths(paths.base, "manager"), FsOps())
    assert load_settings(paths.base, environ={}, flags={}).engine_folder == "manager"


def test_a_wrong_order_key_is_refused_and_nothing_is_written(joining: Joining, paths: Paths) -> None:
    line = replace(joining.line, order_key=fingerprint(b"another portal's key"))
    with pytest.raises(EnrolmentRefused) as caught:
        enrol(replace(joining, line=line), paths, FsOps())
    assert caught.value.code == "order-key-fingerprint"
    assert written(paths) == []


def serve_keys(portal: ScriptedPortal, *keys: OrderKey) -> None:
    answer = replace(portal.credentials, order_keys=keys)
    portal.server.at("/api/v1/enrol", answers.json(answer.to_bytes()))


def test_a_standby_key_as_the_line_names_it_is_taken_over(
    joining: Joining, paths: Paths, portal: ScriptedPortal
) -> None:
    standby = make_order_key()[1]
    serve_keys(portal, portal.key, standby)
    line = replace(joining.line, standby=standby.fingerprint)
    assert enrol(replace(joining, line=line), paths, FsOps()).order_keys == (portal.key, standby)


@pytest.mark.parametrize("served", [(), (make_order_key()[1],)], ids=["none", "another"])
def test_a_standby_key_put_in_on_the_way_is_refused_and_nothing_is_written(
    joining: Joining, paths: Paths, portal: ScriptedPortal, served: tuple[OrderKey, ...]
) -> None:
    serve_keys(portal, portal.key, *served)
    line = replace(joining.line, standby=fingerprint(b"the portal's standby key"))
    with pytest.raises(EnrolmentRefused) as caught:
        enrol(replace(joining, line=line), paths, FsOps())
    assert (caught.value.code, written(paths)) == ("standby-key-fingerprint", [])


def test_a_wrong_ca_is_refused_before_the_portal_is_asked(
    joining: Joining, paths: Paths, portal: ScriptedPortal, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_bytes(b"another CA")
    line = replace(joining.line, ca=fingerprint(b"the CA"))
    with pytest.raises(EnrolmentRefused) as caught:
        enrol(replace(joining, line=line, ca_file=tmp_path / "ca.pem"), paths, FsOps())
    assert (caught.value.code, portal.server.requests, written(paths)) == ("ca-fingerprint", [], [])


@pytest.mark.parametrize("prepared", [False, True], ids=["no settings", "settings that name no CA"])
def test_a_portal_with_a_ca_of_its_own_is_joined_and_polled_by_it(
    joining: Joining, paths: Paths, tmp_path: Path, prepared: bool
) -> None:
    authority = Authority(tmp_path)
    if prepared:
        paths.update.mkdir()
        paths.settings.write_text(f'product = "{joining.product}"\nplatform = "{joining.platform}"\n')
    with ScriptedPortal(tls=authority.server_context()) as portal:
        line = replace(portal.line, ca=fingerprint(authority.ca_file.read_bytes()))
        enrol(replace(joining, line=line, ca_file=authority.ca_file), paths, FsOps())
        authority.ca_file.unlink()
        settings = load_settings(paths.base, environ={}, flags={})
        parts = connect(open_base(settings))
        assert parts.poller.poll(State.IDLE, None).code == "up-to-date"
        parts.portal.close()


def test_a_portal_with_a_certificate_of_another_ca_is_not_given_the_token(
    joining: Joining, paths: Paths, tmp_path: Path
) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, name="other")
    with ScriptedPortal(tls=other.server_context()) as portal:
        line = replace(portal.line, ca=fingerprint(authority.ca_file.read_bytes()))
        with pytest.raises(PortalUnavailable) as caught:
            enrol(replace(joining, line=line, ca_file=authority.ca_file), paths, FsOps())
        assert (caught.value.code, portal.server.requests, written(paths)) == ("tls-failed", [], [])


def test_a_line_with_a_ca_needs_its_file(joining: Joining, paths: Paths) -> None:
    line = replace(joining.line, ca=fingerprint(b"the CA"))
    with pytest.raises(SettingsRefused, match="--ca-file"):
        enrol(replace(joining, line=line), paths, FsOps())


def test_a_base_without_the_vendors_root_is_told_where_it_comes_from(joining: Joining, paths: Paths) -> None:
    with pytest.raises(SettingsRefused, match="--trusted-root FILE"):
        enrol(replace(joining, trusted_root=None), paths, FsOps())


def test_a_root_that_is_there_already_is_used(joining: Joining, paths: Paths, vendor: Vendor) -> None:
    paths.update.mkdir()
    (paths.update / "trusted_root.json").write_bytes(vendor.root)
    enrol(replace(joining, trusted_root=None), paths, FsOps())
    assert (paths.update / "trusted_root.json").read_bytes() == vendor.root


def test_a_portal_of_the_same_vendor_is_joined(
    joining: Joining, paths: Paths, portal: ScriptedPortal, vendor: Vendor
) -> None:
    vendor.release("1.0.0")
    portal.publish(vendor)
    assert enrol(joining, paths, FsOps()) == portal.credentials


def test_a_portal_of_another_vendor_is_not_given_the_token_and_nothing_is_written(
    joining: Joining, paths: Paths, portal: ScriptedPortal, tmp_path: Path
) -> None:
    portal.publish(Vendor(tmp_path, name="another"))
    with pytest.raises(ContentRefused, match="another vendor than that of") as caught:
        enrol(joining, paths, FsOps())
    assert (caught.value.code, enrolments(portal), written(paths)) == ("metadata-signature", [], [])


def test_a_product_the_vendor_does_not_have_is_refused_before_the_token_is_used(
    joining: Joining, paths: Paths, portal: ScriptedPortal, vendor: Vendor
) -> None:
    vendor.release("1.0.0")
    portal.publish(vendor)
    with pytest.raises(EnrolmentRefused, match="no product 'sample-enginx', but sample-engine;") as caught:
        enrol(replace(joining, product="sample-enginx"), paths, FsOps())
    assert (caught.value.code, enrolments(portal), written(paths)) == ("product-unknown", [], [])


def test_a_product_that_was_never_released_may_be_waited_for(
    joining: Joining, paths: Paths, portal: ScriptedPortal, tmp_path: Path
) -> None:
    vendor = Vendor(tmp_path, name="of-two", products=("sample-engine", "another-engine"))
    vendor.release("1.0.0")
    portal.publish(vendor)
    (tmp_path / "root.json").write_bytes(vendor.root)
    assert enrol(replace(joining, product="another-engine"), paths, FsOps()) == portal.credentials


def test_a_portal_whose_metadata_cannot_be_had_now_is_not_given_the_token(
    joining: Joining, paths: Paths, portal: ScriptedPortal
) -> None:
    portal.server.at("/repo/v1/vendor/metadata/timestamp.json", answers.status(500))
    with pytest.raises(PortalUnavailable):
        enrol(joining, paths, FsOps())
    assert (enrolments(portal), written(paths)) == ([], [])


@pytest.mark.parametrize("data", [b"", b"no json", b"{}", b'{"signed": {"_type": "targets"}}'])
def test_a_file_that_is_no_root_is_refused(
    joining: Joining, paths: Paths, tmp_path: Path, data: bytes
) -> None:
    (tmp_path / "root.json").write_bytes(data)
    with pytest.raises(ContentRefused) as caught:
        enrol(joining, paths, FsOps())
    assert (caught.value.code, written(paths)) == ("trusted-root", [])


@pytest.mark.parametrize("code", ["enrol-token-unknown", "enrol-token-used", "enrol-token-expired"])
def test_a_token_the_portal_refuses_is_told_and_nothing_is_written(
    joining: Joining, paths: Paths, portal: ScriptedPortal, code: str
) -> None:
    portal.server.at("/api/v1/enrol", answers.json(b'{"code": "%s"}' % code.encode(), 401))
    with pytest.raises(EnrolmentRefused) as caught:
        enrol(joining, paths, FsOps())
    assert (caught.value.code, written(paths)) == (code, [])


@pytest.mark.parametrize(
    "answer",
    [answers.html(), answers.status(500), answers.json(b"{}"), answers.status(401), answers.status(404)],
)
def test_a_portal_in_trouble_writes_nothing(
    joining: Joining, paths: Paths, portal: ScriptedPortal, answer: Answer
) -> None:
    portal.server.at("/api/v1/enrol", answer)
    with pytest.raises(PortalUnavailable):
        enrol(joining, paths, FsOps())
    assert written(paths) == []


def test_the_token_is_in_no_message(joining: Joining, paths: Paths, portal: ScriptedPortal) -> None:
    portal.server.at("/api/v1/enrol", answers.status(500))
    with pytest.raises(PortalUnavailable) as caught:
        enrol(joining, paths, FsOps())
    assert joining.line.token not in str(caught.value)


def test_an_enrolled_base_is_not_enrolled_again(
    joining: Joining, paths: Paths, portal: ScriptedPortal
) -> None:
    enrol(joining, paths, FsOps())
    with pytest.raises(EnrolmentRefused) as caught:
        enrol(joining, paths, FsOps())
    assert caught.value.code == "already-enrolled"
    assert len(enrolments(portal)) == 1


def test_a_damaged_identity_is_told_and_not_overwritten(joining: Joining, paths: Paths) -> None:
    paths.update.mkdir()
    paths.credentials.write_text("{}")
    with pytest.raises(SettingsRefused, match="restore it, or run engineshed-client enrol --again"):
        enrol(joining, paths, FsOps())
    assert paths.credentials.read_text() == "{}"


def test_who_waits_for_approval_is_told_so_and_it_is_not_kept(
    joining: Joining, paths: Paths, portal: ScriptedPortal
) -> None:
    waiting = replace(portal.credentials, waiting=True)
    portal.server.at("/api/v1/enrol", answers.json(waiting.to_bytes()))
    assert enrol(joining, paths, FsOps()) == waiting
    assert read_credentials(paths) == portal.credentials


def serve_identity(portal: ScriptedPortal, name: str) -> EnrolAnswer:
    answer = replace(portal.credentials, engine=derived_id("eng", name), secret=f"secret of {name}")
    portal.server.at("/api/v1/enrol", answers.json(answer.to_bytes()))
    return answer


def test_a_base_that_joins_anew_has_the_new_identity_and_keeps_all_else(
    joining: Joining, paths: Paths, portal: ScriptedPortal
) -> None:
    enrol(joining, paths, FsOps())
    seen = SeenFile(paths, FsOps())
    seen.save(Seen().with_order("k" * 64, Accepted(seq=41, id=derived_id("ord", "x"))))
    paths.settings.write_text('product = "sample-engine"\npoll_s = 7\n')
    new = serve_identity(portal, "new")
    assert enrol_again(joining, paths, FsOps()) == new
    assert read_credentials(paths) == new
    assert stat.S_IMODE(paths.credentials.stat().st_mode) == 0o600
    assert seen.load().seq == 41
    assert load_settings(paths.base, environ={}, flags={}).poll_s == 7


@pytest.mark.parametrize("content", [None, "{}", "no json"])
def test_a_base_whose_identity_is_lost_or_damaged_joins_anew(
    joining: Joining, paths: Paths, portal: ScriptedPortal, content: str | None
) -> None:
    enrol(joining, paths, FsOps())
    if content is None:
        paths.credentials.unlink()
    else:
        paths.credentials.write_text(content)
    new = serve_identity(portal, "new")
    enrol_again(joining, paths, FsOps())
    assert read_credentials(paths) == new


@pytest.mark.parametrize(
    "answer",
    [answers.json(b'{"code": "enrol-token-used"}', 401), answers.status(500), answers.json(b"{}")],
)
def test_when_joining_anew_fails_the_identity_from_before_is_as_it_was(
    joining: Joining, paths: Paths, portal: ScriptedPortal, answer: Answer
) -> None:
    before = enrol(joining, paths, FsOps())
    portal.server.at("/api/v1/enrol", answer)
    with pytest.raises((EnrolmentRefused, PortalUnavailable)):
        enrol_again(joining, paths, FsOps())
    assert read_credentials(paths) == before


def test_while_an_attempt_is_under_way_the_identity_stays(
    joining: Joining, paths: Paths, portal: ScriptedPortal
) -> None:
    before = enrol(joining, paths, FsOps())
    paths.journal.write_text("{}")
    with pytest.raises(TryLater) as caught:
        enrol_again(joining, paths, FsOps())
    assert (caught.value.code, read_credentials(paths)) == ("attempt-under-way", before)
    assert len(enrolments(portal)) == 1


def test_wherever_joining_anew_is_killed_there_is_one_whole_identity(
    joining: Joining, paths: Paths, portal: ScriptedPortal
) -> None:
    before = enrol(joining, paths, FsOps())
    new = serve_identity(portal, "new")
    found = set()
    for kill_at in itertools.count():
        paths.credentials.write_bytes(before.to_bytes())
        try:
            enrol_again(joining, paths, KillingFs(kill_at=kill_at))
        except Killed:
            known = read_credentials(paths)
            assert known in (before, new)
            found.add(known)
        else:
            break
    assert found == {before, new}
