"""Settings: three layers, the last one wins, every fault at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from engineshed_client.errors import SettingsRefused
from engineshed_client.settings import EngineSettings, Settings, find_base, load_settings
from engineshed_packages.manifest import ProbeSpec, StartSpec, StopSpec


def load(
    base: Path, text: str, *, environ: Mapping[str, str] | None = None, flags: Mapping[str, str] | None = None
) -> Settings:
    (base / "update").mkdir(exist_ok=True)
    (base / "update" / "updater.toml").write_text(text)
    return load_settings(base, environ=environ or {}, flags=flags or {})


def faults(base: Path, text: str, *, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(SettingsRefused) as caught:
        load(base, text, environ=environ)
    return caught.value.faults


def test_a_product_alone_is_enough(tmp_path: Path) -> None:
    settings = load(tmp_path, 'product = "portal"\n')
    assert (settings.product, settings.poll_s, settings.keep_previous) == ("portal", 60, 2)


def test_relative_files_start_at_the_updaters_folder(tmp_path: Path) -> None:
    settings = load(tmp_path, 'product = "portal"\nca_file = "ca.pem"\n')
    assert settings.trusted_root == tmp_path / "update" / "trusted_root.json"
    assert settings.ca_file == tmp_path / "update" / "ca.pem"


def test_the_ca_that_lies_beside_the_file_is_the_one_to_trust(tmp_path: Path) -> None:
    assert load(tmp_path, 'product = "portal"\n').ca_file is None
    (tmp_path / "update" / "ca.pem").write_bytes(b"")
    assert load(tmp_path, 'product = "portal"\n').ca_file == tmp_path / "update" / "ca.pem"
    named = load(tmp_path, 'product = "portal"\nca_file = "/etc/ca.pem"\n')
    assert named.ca_file == Path("/etc/ca.pem")


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    settings = load(tmp_path, 'product = "portal"\npoll_s = 9\n', environ={"ENGINESHED_POLL_S": "5"})
    assert settings.poll_s == 5


def test_a_flag_goes_before_the_environment(tmp_path: Path) -> None:
    settings = load(
        tmp_path, 'product = "portal"\n', environ={"ENGINESHED_POLL_S": "5"}, flags={"poll_s": "3"}
    )
    assert settings.poll_s == 3


def test_lists_stand_in_the_environment_as_in_the_file(tmp_path: Path) -> None:
    settings = load(tmp_path, 'product = "portal"\n', environ={"ENGINESHED_KEPT": '["licence/", "*.key"]'})
    assert settings.kept == ("licence/", "*.key")


def test_a_text_that_looks_like_a_number_stays_a_text_in_the_environment(tmp_path: Path) -> None:
    settings = load(tmp_path, 'product = "portal"\n', environ={"ENGINESHED_ENGINE_FOLDER": "2024"})
    assert settings.engine_folder == "2024"


def test_the_section_of_the_engine_has_names_of_its_own_in_the_environment(tmp_path: Path) -> None:
    environ = {"ENGINESHED_ENGINE_PROBE_URL": "http://127.0.0.1:8080/"}
    assert (
        load(tmp_path, 'product = "portal"\n', environ=environ).engine.probe_url == "http://127.0.0.1:8080/"
    )


def test_other_names_in_the_environment_are_somebody_elses(tmp_path: Path) -> None:
    settings = load(
        tmp_path, 'product = "portal"\n', environ={"ENGINESHED_WEB_BIND": "x", "ENGINESHED_ENGINE": "/a"}
    )
    assert settings.product == "portal"


def test_every_fault_is_reported_at_once(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        'product = "Portal!"\npol_s = 5\nkeep_previous = 0\n[engine]\nstart = "run me"\n',
        environ={"ENGINESHED_POLL_S": "soon"},
    )
    assert len(found) == 5


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "product is missing"),
        ('product = "portal"\npol_s = 5\n', "did you mean poll_s?"),
        ('product = "portal"\npoll_s = 0\n', "a whole number from 1"),
        ('product = "portal"\npoll_s = true\n', "a whole number from 1"),
        ('product = "portal"\npoll_s = 1.5\n', "a whole number from 1"),
        ('product = "portal"\nportals = ["ftp://x"]\n', "a list of addresses"),
        ('product = "portal"\nplatform = "amiga"\n', "linux-x86_64"),
        ('product = "portal"\nengine_folder = "../up"\n', "a folder name"),
        ('product = "portal"\nunlisted = "burn"\n', "carry or refuse or leave"),
        ('product = "portal"\nkept = "conf/"\n', "a list of texts"),
        ('product = "portal"\nengine = 5\n', "a section [engine]"),
        ('product = "portal"\n[engine]\nstart = []\n', "a command word by word"),
        ('product = "portal"\n[engine]\nenv = {A = 1}\n', "texts by name"),
        ('product = "portal"\n[engine]\nprobe_tcp = "8080"\n', "host:port"),
        ('product = "portal"\n[engine]\nversion_regex = "("\n', "a regular expression"),
        ('product = "portal"\n[engine]\nversion_regex = "[0-9]+"\n', "with a group around the version"),
        ('product = "portal"\n[engine]\nprobe_tcp = "h:1"\nprobe_url = "http://h/"\n', "expected one probe"),
        ("product = \n", "no valid TOML"),
    ],
)
def test_a_fault_says_what_was_expected(tmp_path: Path, text: str, word: str) -> None:
    assert [word in fault for fault in faults(tmp_path, text)] == [True]


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match="enrol this base first"):
        load_settings(tmp_path, environ={}, flags={})


def test_an_unknown_flag_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match="flags: colour is no setting"):
        load(tmp_path, 'product = "portal"\n', flags={"colour": "red"})


def test_the_base_comes_from_the_flag_first(tmp_path: Path) -> None:
    assert find_base(str(tmp_path), {"ENGINESHED_BASE": "/elsewhere"}) == tmp_path


def test_the_base_comes_from_the_environment_else(tmp_path: Path) -> None:
    assert find_base(None, {"ENGINESHED_BASE": str(tmp_path)}) == tmp_path


def test_no_base_says_how_to_give_one() -> None:
    with pytest.raises(SettingsRefused, match="--base FOLDER"):
        find_base(None, {})


def test_a_base_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match="is no folder"):
        find_base(str(tmp_path / "absent"), {})


URL = ProbeSpec(url="http://127.0.0.1:1/", version_pointer="/version", timeout_s=7)


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        (EngineSettings(), URL),
        (
            EngineSettings(probe_url="http://127.0.0.1:2/"),
            ProbeSpec(url="http://127.0.0.1:2/", version_pointer="/version", timeout_s=7),
        ),
        (EngineSettings(probe_tcp="127.0.0.1:2"), ProbeSpec(tcp="127.0.0.1:2", timeout_s=7)),
        (
            EngineSettings(version_regex="v(.*)"),
            ProbeSpec(url="http://127.0.0.1:1/", version_regex="v(.*)", timeout_s=7),
        ),
        (
            EngineSettings(probe_timeout_s=2, good_ticks=1, max_ticks=4, interval_s=3),
            ProbeSpec(
                url="http://127.0.0.1:1/",
                version_pointer="/version",
                timeout_s=2,
                good_ticks=1,
                max_ticks=4,
                interval_s=3,
            ),
        ),
    ],
)
def test_what_is_set_replaces_the_manifests_probe(engine: EngineSettings, expected: ProbeSpec) -> None:
    assert engine.probe_for(URL) == expected


def test_settings_that_do_not_fit_the_manifest_are_refused() -> None:
    with pytest.raises(SettingsRefused, match="good_ticks"):
        EngineSettings(good_ticks=90).probe_for(URL)


def test_what_is_set_replaces_the_manifests_start_and_adds_to_its_environment() -> None:
    spec = StartSpec(command=("run",), env={"A": "1", "B": "1"})
    assert EngineSettings(start=("go",), env={"B": "2"}).start_for(spec) == StartSpec(
        command=("go",), env={"A": "1", "B": "2"}
    )


def test_what_is_set_replaces_the_manifests_stop() -> None:
    assert EngineSettings(stop=("halt",), stop_timeout_s=9).stop_for(StopSpec()) == StopSpec(
        command=("halt",), timeout_s=9
    )
