"""What goes along from the live engine: the plan is made and carried out on real trees, and looked at."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from engineshed_client.errors import DiskTrouble, Refused
from engineshed_client.fsops import FsOps
from engineshed_client.install.carrying import carry
from engineshed_client.install.plan import Plan, Rules, check_plan, check_rights, plan_carry, plan_first
from engineshed_client.install.trees import with_kept
from tests.client.install.trees_on_disk import content, put, tree
from tests.conftest import require

Files = Mapping[str, bytes]


class Pair:
    """A live engine and the staged new one."""

    def __init__(self, folder: Path, old: Files, new: Files) -> None:
        self.live = tree(folder / "engine", "1.0.0", old)
        self.staged = tree(folder / "staged", "1.1.0", new)
        self.overlay = folder / "ext-lib"

    def rules(
        self, unlisted: str = "carry", outside: tuple[str, ...] = (), kept: tuple[str, ...] = ()
    ) -> Rules:
        return Rules(
            old=with_kept(self.live.manifest, kept),
            new=with_kept(self.staged.manifest, kept),
            unlisted=unlisted,
            outside=outside,
        )

    def plan(self, rules: Rules | None = None) -> Plan:
        return plan_carry(self.live.folder, rules or self.rules(), self.overlay)

    def carry(self, rules: Rules | None = None) -> dict[str, str]:
        """Carry out, twice, and return what lies in the new engine."""
        plan = self.plan(rules)
        carry(FsOps(), plan, self.staged.folder, self.live.folder)
        once = content(self.staged.folder)
        carry(FsOps(), plan, self.staged.folder, self.live.folder)
        assert content(self.staged.folder) == once
        return once


@pytest.fixture
def pair(tmp_path: Path) -> Callable[[Files, Files], Pair]:
    return lambda old, new: Pair(tmp_path, old, new)


MakePair = Callable[[Files, Files], Pair]


def test_shipped_files_are_the_new_versions(pair: MakePair) -> None:
    both = pair({"bin/run": b"old", "lib/gone.jar": b"x"}, {"bin/run": b"new", "lib/fresh.jar": b"y"})
    assert both.carry() == {"bin/run": "new", "lib/fresh.jar": "y"}


def test_kept_files_are_the_customers(pair: MakePair) -> None:
    both = pair({"conf/a.toml": b"1"}, {"conf/a.toml": b"1"})
    put(both.live.folder, {"conf/a.toml": b"mine", "conf/own.key": b"key", "engine.config": b"heap"})
    assert both.carry() == {"conf/a.toml": "mine", "conf/own.key": "key", "engine.config": "heap"}


def test_a_changed_default_lies_beside_the_customers_file(pair: MakePair) -> None:
    both = pair({"conf/a.toml": b"1"}, {"conf/a.toml": b"2"})
    put(both.live.folder, {"conf/a.toml": b"mine"})
    assert both.carry() == {"conf/a.toml": "mine", "conf/a.toml.new": "2"}


def test_a_changed_default_lies_beside_an_unchanged_file_as_well(pair: MakePair) -> None:
    assert pair({"conf/a": b"1"}, {"conf/a": b"2"}).carry() == {"conf/a": "1", "conf/a.new": "2"}


def test_a_changed_default_that_the_customer_has_already_makes_no_new_file(pair: MakePair) -> None:
    both = pair({"conf/a": b"1"}, {"conf/a": b"2"})
    put(both.live.folder, {"conf/a": b"2"})
    assert both.carry() == {"conf/a": "2"}


def test_a_newer_default_replaces_the_one_left_by_an_earlier_update(pair: MakePair) -> None:
    both = pair({"conf/a": b"2"}, {"conf/a": b"3"})
    put(both.live.folder, {"conf/a": b"mine", "conf/a.new": b"2"})
    assert both.carry() == {"conf/a": "mine", "conf/a.new": "3"}


def test_a_default_left_by_an_earlier_update_stays_when_there_is_no_newer_one(pair: MakePair) -> None:
    both = pair({"conf/a": b"2"}, {"conf/a": b"2"})
    put(both.live.folder, {"conf/a": b"mine", "conf/a.new": b"2"})
    assert both.carry() == {"conf/a": "mine", "conf/a.new": "2"}


def test_a_new_default_with_nothing_in_its_way_is_simply_there(pair: MakePair) -> None:
    assert pair({"bin/run": b""}, {"conf/fresh": b"2"}).carry() == {"conf/fresh": "2"}


def test_a_default_the_customer_removed_stays_removed(pair: MakePair) -> None:
    both = pair({"conf/example": b"1", "conf/a": b"1"}, {"conf/example": b"1", "conf/a": b"1"})
    (both.live.folder / "conf/example").unlink()
    assert both.carry() == {"conf/a": "1"}


def test_a_changed_default_of_a_removed_file_is_only_shown(pair: MakePair) -> None:
    both = pair({"conf/example": b"1"}, {"conf/example": b"2"})
    (both.live.folder / "conf/example").unlink()
    assert both.carry() == {"conf/example.new": "2"}


def test_runtime_files_go_along_and_never_make_a_new_default(pair: MakePair) -> None:
    both = pair({"data/seed": b"1"}, {"data/seed": b"2"})
    put(both.live.folder, {"data/seed": b"grown", "logs/engine.log": b"lines"})
    assert both.carry() == {"data/seed": "grown", "logs/engine.log": "lines"}


def test_runtime_folders_declared_outside_stay_behind(pair: MakePair) -> None:
    both = pair({"bin/run": b""}, {"bin/run": b""})
    put(both.live.folder, {"data/big": b"x", "logs/engine.log": b"lines"})
    assert both.carry(both.rules(outside=("data/",))) == {"bin/run": "", "logs/engine.log": "lines"}


def test_the_link_to_an_outside_runtime_folder_goes_along(pair: MakePair) -> None:
    both = pair({"bin/run": b""}, {"bin/run": b""})
    (both.live.folder / "data").symlink_to("/srv/big")
    assert both.carry(both.rules(outside=("data/",)))["data"] == "-> /srv/big"


def test_unlisted_files_and_empty_folders_go_along(pair: MakePair) -> None:
    both = pair({"bin/run": b""}, {"bin/run": b""})
    put(both.live.folder, {"own/script.sh": b"#!"})
    (both.live.folder / "own/empty").mkdir()
    assert both.carry() == {"bin/run": "", "own/script.sh": "#!", "own/empty/": ""}


def test_unlisted_files_stay_behind_when_told_so(pair: MakePair) -> None:
    both = pair({"bin/run": b""}, {"bin/run": b""})
    put(both.live.folder, {"own/script.sh": b"#!", "conf/mine": b"1"})
    assert both.carry(both.rules(unlisted="leave")) == {"bin/run": "", "conf/mine": "1"}


def test_unlisted_files_are_refused_by_name_when_told_so(pair: MakePair) -> None:
    both = pair({"bin/run": b""}, {"bin/run": b""})
    put(both.live.folder, {"own/script.sh": b"#!"})
    rules = both.rules(unlisted="refuse")
    with pytest.raises(Refused, match=r"own/script\.sh") as raised:
        check_plan(both.plan(rules), rules)
    assert raised.value.code == "unlisted-files"


def test_an_engine_without_unlisted_files_passes_when_they_are_refused(pair: MakePair) -> None:
    both = pair({"bin/run": b""}, {"bin/run": b""})
    put(both.live.folder, {"conf/mine": b"1", "logs/a.log": b""})
    rules = both.rules(unlisted="refuse")
    check_plan(both.plan(rules), rules)


def test_shipped_files_the_admin_declares_as_kept_are_his(pair: MakePair) -> None:
    both = pair({"service.xml": b"1"}, {"service.xml": b"2"})
    put(both.live.folder, {"service.xml": b"mine"})
    assert both.carry(both.rules(kept=("service.xml",))) == {"service.xml": "mine", "service.xml.new": "2"}


def test_what_the_customer_has_where_the_vendor_now_ships_a_file_is_saved_beside_it(pair: MakePair) -> None:
    both = pair({"bin/run": b""}, {"bin/run": b"", "lib/fix.jar": b"vendor's"})
    put(both.live.folder, {"lib/fix.jar": b"mine"})
    assert both.carry() == {"bin/run": "", "lib/fix.jar": "vendor's", "lib/fix.jar.saved": "mine"}


def test_the_vendors_own_file_that_came_early_needs_no_saving(pair: MakePair) -> None:
    both = pair({"bin/run": b""}, {"bin/run": b"", "lib/fix.jar": b"vendor's"})
    put(both.live.folder, {"lib/fix.jar": b"vendor's"})
    assert both.carry() == {"bin/run": "", "lib/fix.jar": "vendor's"}


def test_a_second_saved_file_does_not_replace_the_first(pair: MakePair) -> None:
    both = pair({"bin/run": b""}, {"bin/run": b"", "lib/fix.jar": b"vendor's"})
    put(both.live.folder, {"lib/fix.jar": b"mine", "lib/fix.jar.saved": b"older"})
    found = both.carry()
    assert (found["lib/fix.jar.saved"], found["lib/fix.jar.saved.saved"]) == ("older", "mine")


def test_a_customers_folder_where_the_vendor_now_ships_a_file_is_saved_beside_it(pair: MakePair) -> None:
    both = pair({"bin/run": b""}, {"bin/run": b"", "tools": b"vendor's"})
    put(both.live.folder, {"tools/mine.sh": b"#!"})
    assert both.carry() == {"bin/run": "", "tools": "vendor's", "tools.saved/mine.sh": "#!"}


def test_a_customers_link_where_the_vendor_ships_a_folder_is_saved_beside_it(pair: MakePair) -> None:
    both = pair({"bin/run": b""}, {"bin/run": b"", "lib/a.jar": b"vendor's"})
    (both.live.folder / "lib").symlink_to("/opt/other")
    assert both.carry() == {"bin/run": "", "lib/a.jar": "vendor's", "lib.saved": "-> /opt/other"}


def test_links_go_along_as_links_wherever_they_point(pair: MakePair, tmp_path: Path) -> None:
    both = pair({"bin/run": b""}, {"bin/run": b""})
    put(tmp_path, {"outside/secret": b"not yours"})
    (both.live.folder / "own").symlink_to("../outside", target_is_directory=True)
    (both.live.folder / "dangling").symlink_to("nowhere")
    assert both.carry() == {"bin/run": "", "own": "-> ../outside", "dangling": "-> nowhere"}
    assert content(tmp_path / "outside") == {"secret": "not yours"}


def test_a_configuration_folder_that_is_a_link_stays_one_and_is_not_written_through(
    pair: MakePair, tmp_path: Path
) -> None:
    both = pair({"conf/a": b"1", "conf/b": b"1"}, {"conf/a": b"1", "conf/b": b"2", "conf/c": b"3"})
    put(tmp_path, {"etc/a": b"mine"})
    for name in ("a", "b"):
        (both.live.folder / "conf" / name).unlink()
    (both.live.folder / "conf").rmdir()
    (both.live.folder / "conf").symlink_to("../etc")
    assert both.carry() == {"conf": "-> ../etc", "conf.new/b": "2", "conf.new/c": "3"}
    assert content(tmp_path / "etc") == {"a": "mine"}


def test_the_admins_libraries_replace_what_is_in_ext_lib(pair: MakePair) -> None:
    both = pair({"bin/run": b""}, {"bin/run": b""})
    put(both.live.folder, {"ext/lib/driver.jar": b"old", "ext/lib/other.jar": b"stays"})
    put(both.overlay, {"driver.jar": b"new", "sub/more.jar": b"more"})
    assert both.carry() == {
        "bin/run": "",
        "ext/lib/driver.jar": "new",
        "ext/lib/other.jar": "stays",
        "ext/lib/sub/more.jar": "more",
    }


def test_the_admins_libraries_are_in_a_first_installation(tmp_path: Path) -> None:
    staged = tree(tmp_path / "staged", "1.1.0", {"bin/run": b""})
    put(tmp_path / "ext-lib", {"driver.jar": b"new"})
    carry(FsOps(), plan_first(tmp_path / "ext-lib"), staged.folder, None)
    assert content(staged.folder) == {"bin/run": "", "ext/lib/driver.jar": "new"}


def test_an_ext_lib_that_is_a_link_is_not_written_through(pair: MakePair, tmp_path: Path) -> None:
    both = pair({"bin/run": b""}, {"bin/run": b""})
    (tmp_path / "outside").mkdir()
    (both.live.folder / "ext").mkdir()
    (both.live.folder / "ext/lib").symlink_to("../../outside")
    put(both.overlay, {"driver.jar": b"new"})
    with pytest.raises(Refused) as raised:
        check_plan(both.plan(), both.rules())
    assert raised.value.code == "link-in-the-way"
    with pytest.raises(Refused):
        both.carry()
    assert os.listdir(tmp_path / "outside") == []


def test_sockets_and_pipes_are_told_and_left(pair: MakePair) -> None:
    require(hasattr(os, "mkfifo"), "there are no named pipes here")
    both = pair({"bin/run": b""}, {"bin/run": b""})
    (both.live.folder / "data").mkdir()
    os.mkfifo(both.live.folder / "data/pipe")
    assert both.plan().ignored == ("data/pipe",)
    assert both.carry() == {"bin/run": ""}


def test_copies_have_mode_and_times_of_what_they_were_made_from(pair: MakePair) -> None:
    both = pair({"bin/run": b""}, {"bin/run": b""})
    put(both.live.folder, {"conf/secret": b"1", "logs/a.log": b""})
    (both.live.folder / "conf/secret").chmod(0o600)
    (both.live.folder / "conf").chmod(0o750)
    os.utime(both.live.folder / "logs/a.log", ns=(10**9, 10**9))
    both.carry()
    assert (both.staged.folder / "conf/secret").stat().st_mode & 0o777 == 0o600
    assert (both.staged.folder / "conf").stat().st_mode & 0o777 == 0o750
    assert (both.staged.folder / "logs/a.log").stat().st_mtime_ns == 10**9


def test_copies_have_the_owner_of_what_they_were_made_from(pair: MakePair) -> None:
    require(os.name == "posix" and os.geteuid() == 0, "only root may give files away")
    both = pair({"bin/run": b""}, {"bin/run": b""})
    put(both.live.folder, {"conf/a": b"1", "own/b": b"2"})
    put(both.overlay, {"driver.jar": b"new"})
    for path in (both.live.folder, *both.live.folder.rglob("*")):
        os.chown(path, 4711, 4712)
    both.carry()
    for name in ("", "conf", "conf/a", "own/b", "ext/lib/driver.jar"):
        status = (both.staged.folder / name).stat()
        assert (name, status.st_uid, status.st_gid) == (name, 4711, 4712)


def test_access_lists_go_along_to_kept_files_folders_and_the_next_version_of_shipped_files(
    pair: MakePair,
) -> None:
    require(shutil.which("setfacl") is not None, "setfacl")
    both = pair({"bin/run": b"old", "bin/other": b""}, {"bin/run": b"new", "bin/other": b""})
    put(both.live.folder, {"conf/secret": b"1"})
    (both.staged.folder / "bin/run").chmod(0o755)
    for name, entry in (("conf/secret", "u:4711:r"), ("bin/run", "u:4711:rx"), ("conf", "d:u:4711:r")):
        subprocess.run(["setfacl", "-m", entry, str(both.live.folder / name)], check=True)
    both.carry()
    told = {
        name: subprocess.run(
            ["getfacl", "-cpn", name], cwd=both.staged.folder, capture_output=True, text=True, check=True
        ).stdout
        for name in ("conf/secret", "bin/run", "conf", "bin/other")
    }
    assert "user:4711:r--" in told["conf/secret"]
    assert "user:4711:r-x" in told["bin/run"]
    assert "default:user:4711:r--" in told["conf"]
    assert "4711" not in told["bin/other"]
    assert (both.staged.folder / "bin/run").stat().st_mode & 0o777 == 0o755
    assert (both.staged.folder / "bin/run").read_bytes() == b"new"


def test_a_kept_copy_that_differs_is_found_before_the_swap(pair: MakePair) -> None:
    both = pair({"bin/run": b""}, {"bin/run": b""})
    put(both.live.folder, {"conf/a": b"before"})
    plan = both.plan()

    class Writing(FsOps):
        """Somebody writes to the live file right after it was copied."""

        def set_times(self, path: Path, like: os.stat_result) -> None:
            super().set_times(path, like)
            (both.live.folder / "conf/a").write_bytes(b"after!")

    with pytest.raises(DiskTrouble) as raised:
        carry(Writing(), plan, both.staged.folder, both.live.folder)
    assert raised.value.code == "kept-differs"


def test_the_live_engine_is_only_read(pair: MakePair) -> None:
    both = pair({"conf/a": b"1", "bin/run": b""}, {"conf/a": b"2", "bin/run": b""})
    put(both.live.folder, {"own/x": b"1"})
    before = content(both.live.folder)
    both.carry()
    assert content(both.live.folder) == before


def test_the_copies_size_is_known_beforehand(pair: MakePair) -> None:
    both = pair({"bin/run": b"not counted"}, {"bin/run": b""})
    put(both.live.folder, {"data/big": b"x" * 1000, "conf/a": b"y" * 10})
    put(both.overlay, {"driver.jar": b"z" * 100})
    assert both.plan().total_bytes == 1110


def test_an_updater_that_may_not_give_files_back_to_their_owner_is_told_beforehand(pair: MakePair) -> None:
    both = pair({"bin/run": b""}, {"bin/run": b""})
    put(both.live.folder, {"conf/a": b"1"})
    plan = both.plan()
    (uid, gid), *_ = plan.owners
    check_rights(plan, user=uid, groups=[gid])
    for user, groups in ((uid + 1, [gid]), (uid, [gid + 1])):
        with pytest.raises(Refused, match=f"{uid}:{gid}") as raised:
            check_rights(plan, user=user, groups=groups)
        assert raised.value.code == "rights-lacking"


def test_an_updater_that_may_not_read_a_file_is_told_beforehand(
    pair: MakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = pair({"bin/run": b""}, {"bin/run": b""})
    put(both.live.folder, {"conf/secret": b"1"})
    plan = both.plan()
    (uid, gid), *_ = plan.owners
    # Root, which may run these tests, reads everything.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(Refused, match="conf/secret"):
        check_rights(plan, user=uid, groups=[gid])
