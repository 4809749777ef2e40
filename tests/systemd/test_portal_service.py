"""The portal's unit on a real systemd: boot, death, drain, a wrong configuration, least rights."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.server.serve.processes import wait_until
from tests.systemd import attempts
from tests.systemd.site import BIG, PORT, SOURCES, Site

UNIT = "engineshed-portal.service"
SECOND = "engineshed-portal-second.service"
SECOND_PORT = 8081
BIG_BYTES = 24 * 1024 * 1024
PIECE_BYTES = 256 * 1024
GRACE_S = 25


@dataclass(frozen=True)
class Cut:
    """A download that its reader never takes, from a portal that was told to stop at that moment."""

    answer: http.client.HTTPResponse
    began_s: float


class Download(closing[http.client.HTTPConnection]):
    """A package that is being answered, of which little is taken off the wire by itself."""

    def __init__(self, site: Site, path: str, port: int, *, token: str) -> None:
        connection = site.http(port, receive_bytes=64 * 1024)
        super().__init__(connection)
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        self.answer = connection.getresponse()
        assert self.answer.status == 200


def big_release(site: Site, version: str) -> str:
    return site.publish(version, product=BIG, files={"share/big": os.urandom(BIG_BYTES)})


def state_of(site: Site, unit: str) -> str:
    return site.container.show(unit, "ActiveState")["ActiveState"]


@pytest.fixture(scope="module")
def cut(site: Site) -> Iterator[Cut]:
    """A second portal on the same host, told to stop while it answers a reader that has gone to sleep."""
    run = site.container.run
    run("install", "-d", "-o", "engineshed", "-m", "0700", "/var/lib/engineshed-second")
    text = (site.sources / "deploy/portal.toml.example").read_text("utf-8")
    text = text.replace("/var/lib/engineshed", "/var/lib/engineshed-second").replace(
        str(PORT), str(SECOND_PORT)
    )
    config = "/etc/engineshed/second.toml"
    run("sh", "-c", f"cat > {config}", stdin=text)
    site.as_user(
        "engineshed", "engineshed-server", "init", "--config", config, "--root", f"{SOURCES}/root.json"
    )
    told = site.service("install", "--config", config, "--name", "second", "--now")
    assert f"{SECOND} starts at boot" in told
    site.wait_for_portal(SECOND_PORT)
    token = site.as_user(
        "engineshed", "engineshed-server", "token", "create", "--scope", "admin", "--config", config
    ).strip()
    target = site.release("7.0.0", product=BIG, files={"share/big": os.urandom(BIG_BYTES)})
    site.upload(site.vendor.bundle("7.0.0", product=BIG), SECOND_PORT, token=token)
    path = f"/repo/v1/vendor/targets/{target.download_name}"
    download = Download(site, path, SECOND_PORT, token=token)
    with download:
        run("systemctl", "stop", "--no-block", SECOND)
        yield Cut(download.answer, time.monotonic())


@pytest.fixture(autouse=True)
def _begin_early(cut: Cut) -> None:
    """The portal that waits out its grace does so beside the other tests."""


def test_the_installed_portal_serves_as_its_user_and_is_enabled(site: Site) -> None:
    site.wait_for_portal()
    assert site.container.show(UNIT, "ActiveState", "UnitFileState", "User", "NRestarts") == {
        "ActiveState": "active",
        "UnitFileState": "enabled",
        "User": "engineshed",
        "NRestarts": "0",
    }
    shown = json.loads(site.service("show", "--json"))
    assert (shown["file"], shown["enabled"], shown["active"]) == ("current", "enabled", "active")


def test_installing_again_changes_nothing_and_restarts_nothing(site: Site) -> None:
    before = site.container.show(UNIT, "MainPID")
    assert "wrote" not in site.service("install", "--now")
    assert site.container.show(UNIT, "MainPID") == before


@pytest.mark.parametrize("victim", ["the parent", "gunicorn's master"])
def test_a_portal_that_is_killed_serves_again(site: Site, victim: str) -> None:
    before = site.container.show(UNIT, "MainPID", "NRestarts")
    parent, restarts = before["MainPID"], before["NRestarts"]
    master = site.container.run("pgrep", "-P", parent, "-f", "engineshed_server.cli web").strip()
    killed = parent if victim == "the parent" else master
    site.container.run("kill", "-KILL", killed)
    wait_until(lambda: site.container.try_run("kill", "-0", killed).returncode != 0, "it is dead")
    site.wait_for_portal()
    after = site.container.show(UNIT, "MainPID", "NRestarts")
    if victim == "the parent":
        assert (after["MainPID"] != parent, int(after["NRestarts"])) == (True, int(restarts) + 1)
    else:  # healed by the parent
        assert (after["MainPID"], after["NRestarts"]) == (parent, restarts)


def test_a_reload_replaces_the_workers_one_by_one(site: Site) -> None:
    parent = site.container.show(UNIT, "MainPID")["MainPID"]
    master = site.container.run("pgrep", "-P", parent, "-f", "engineshed_server.cli web").strip()
    before = set(site.container.run("pgrep", "-P", master).split())
    site.container.run("systemctl", "reload", UNIT)

    def all_new() -> bool:
        now = set(site.container.try_run("pgrep", "-P", master).stdout.split())
        return len(now) == len(before) and not now & before

    wait_until(all_new, "all workers are new")
    assert site.container.show(UNIT, "MainPID")["MainPID"] == parent
    site.wait_for_portal()


def test_stopping_lets_a_slow_download_and_a_slow_upload_finish_and_leaves_nothing(site: Site) -> None:
    path = big_release(site, "1.0.0")
    expected = hashlib.sha256(_package(site, "1.0.0")).hexdigest()
    site.release("1.1.0", product=BIG, files={"share/big": os.urandom(PIECE_BYTES)})
    bundle = site.vendor.bundle("1.1.0", product=BIG).read_bytes()
    download = Download(site, path, PORT, token=site.token)
    with download, closing(site.http()) as upload:
        upload.putrequest("PUT", "/api/v1/bundles/slow.zip")
        for name, value in {**site.authorization, "Content-Length": str(len(bundle))}.items():
            upload.putheader(name, value)
        upload.endheaders()
        upload.send(bundle[: len(bundle) // 2])
        digest = hashlib.sha256(download.answer.read(PIECE_BYTES))

        site.container.run("systemctl", "stop", "--no-block", UNIT)
        wait_until(lambda: state_of(site, UNIT) == "deactivating", "it stops")
        time.sleep(1)  # the drain is under way: the workers were told
        while piece := download.answer.read(PIECE_BYTES):
            digest.update(piece)
            time.sleep(0.01)
        assert digest.hexdigest() == expected
        upload.send(bundle[len(bundle) // 2 :])
        assert upload.getresponse().status == 201
    wait_until(lambda: state_of(site, UNIT) == "inactive", "it has stopped")

    assert site.container.show(UNIT, "ActiveState", "Result", "ExecMainStatus", "ControlGroup") == {
        "ActiveState": "inactive",
        "Result": "success",
        "ExecMainStatus": "0",
        "ControlGroup": "",
    }
    assert [line for line in site.users_processes("engineshed") if "second" not in line] == []
    site.container.run("systemctl", "start", UNIT)
    site.wait_for_portal()


def _package(site: Site, version: str) -> bytes:
    (path,) = (site.vendor.folder / "packages").glob(f"{BIG}-{version}-*.zip")
    return path.read_bytes()


def test_a_wrong_configuration_is_not_started_again_and_again(site: Site) -> None:
    with site.drop_in(UNIT, "[Service]\nEnvironment=ENGINESHED_WEB_WORKERS=none\nRestartSec=100ms\n"):
        site.container.try_run("systemctl", "restart", UNIT)
        wait_until(
            lambda: site.container.show(UNIT, "ActiveState")["ActiveState"] == "failed", "it has failed"
        )
        time.sleep(1)
        assert site.container.show(UNIT, "ActiveState", "ExecMainStatus", "NRestarts") == {
            "ActiveState": "failed",
            "ExecMainStatus": "78",
            "NRestarts": "0",
        }
        told = site.container.run("journalctl", "--no-pager", "--unit", UNIT, "--lines=5")
        assert "web.workers" in told
    site.container.run("systemctl", "restart", UNIT)
    site.wait_for_portal()


def test_least_rights_are_in_force_while_it_serves(site: Site) -> None:
    own, result = "/var/lib/engineshed", "/var/lib/engineshed/attempts.json"
    possible = try_everything(site, UNIT, user="engineshed", own=own, result=result)
    assert possible == {"write_own"}
    site.wait_for_portal()


def try_everything(site: Site, unit: str, *, user: str, own: str, result: str) -> set[str]:
    """What the service of *unit* can do of all that its user can do without it."""
    run = site.container.run
    run("install", "-d", "-m", "0777", str(attempts.OPEN_FOLDER))
    run("touch", str(attempts.MARKER))
    run("install", "-d", "/home/somebody")
    run("sh", "-c", f"cat > {SOURCES}/attempts.py", stdin=Path(attempts.__file__).read_text("utf-8"))
    command = f"/usr/bin/python3 {SOURCES}/attempts.py {own} {result}"
    run("runuser", "-u", user, "--", *command.split())
    without = set(json.loads(run("cat", result)))
    assert without == {attempt.__name__ for attempt in attempts.ATTEMPTS}
    run("rm", result)
    with site.drop_in(unit, f"[Service]\nExecStartPre={command}\n"):
        run("systemctl", "restart", unit)
    return set(json.loads(run("cat", result)))


def test_what_does_not_end_within_the_grace_is_cut_and_nothing_is_left(site: Site, cut: Cut) -> None:
    wait_until(
        lambda: state_of(site, SECOND) == "inactive", "the second portal has stopped", patience_s=GRACE_S + 20
    )
    assert site.container.show(SECOND, "Result", "ExecMainStatus") == {
        "Result": "success",
        "ExecMainStatus": "0",
    }
    stopped_s = float(site.container.show(SECOND, "InactiveEnterTimestampMonotonic").popitem()[1]) / 1e6
    assert GRACE_S - 1 <= stopped_s - cut.began_s <= GRACE_S + 12
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        cut.answer.read()
    assert [line for line in site.users_processes("engineshed") if "second" in line] == []
    assert f"removed /etc/systemd/system/{SECOND}" in site.service(
        "remove", "--config", "/etc/engineshed/second.toml", "--name", "second"
    )
    assert site.container.show(SECOND, "LoadState")["LoadState"] == "not-found"
    with closing(site.http(PORT)) as connection:
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200


def test_the_portal_starts_at_boot_and_serves(site: Site) -> None:
    site.container.cut_power()
    site.boot()
    site.wait_for_portal()
    assert site.container.show(UNIT, "ActiveState", "NRestarts") == {
        "ActiveState": "active",
        "NRestarts": "0",
    }
    assert site.get("/api/v1/openapi.json") is not None
