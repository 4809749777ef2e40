from __future__ import annotations

from pathlib import Path

import pytest

from engineshed_server.errors import SettingsRefused
from engineshed_server.settings import FIELDS, Settings, load_settings


def load(text: str = "", env: dict[str, str] | None = None, *, folder: Path, **flags: str | int) -> Settings:
    file = folder / "portal.toml"
    file.write_text(text, encoding="utf-8")
    given = {name.replace("__", "."): value for name, value in flags.items()}
    return load_settings(file, env or {}, flags=given)


def line(settings: Settings, name: str) -> tuple[str, str]:
    found = next(one for one in settings.lines if one.name == name)
    return found.value, found.origin


def test_without_anything_the_defaults_count() -> None:
    settings = load_settings(None, {})
    assert (settings.workers, settings.poll_s, settings.bind) == (2, 60, "127.0.0.1:8080")


def test_every_setting_has_a_line_with_its_origin() -> None:
    settings = load_settings(None, {})
    assert [(one.name, one.origin) for one in settings.lines] == [(field.name, "default") for field in FIELDS]


def test_the_file_overrides_the_default_and_is_named_as_origin(tmp_path: Path) -> None:
    settings = load("[web]\nworkers = 3\n", folder=tmp_path)
    assert line(settings, "web.workers") == ("3", str(tmp_path / "portal.toml"))


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    settings = load("[web]\nworkers = 3\n", {"ENGINESHED_WEB_WORKERS": "4"}, folder=tmp_path)
    assert line(settings, "web.workers") == ("4", "ENGINESHED_WEB_WORKERS")


def test_a_flag_overrides_the_environment(tmp_path: Path) -> None:
    settings = load("", {"ENGINESHED_WEB_WORKERS": "4"}, folder=tmp_path, web__workers=5)
    assert line(settings, "web.workers") == ("5", "flag")


def test_all_faults_are_told_together(tmp_path: Path) -> None:
    text = '[web]\nworkers = "many"\nbind = "nowhere"\n[lodging]\n[limits]\nupload_byte = 1\n'
    with pytest.raises(SettingsRefused) as caught:
        load(
            text,
            {"ENGINESHED_LOG_LEVEL": "loud", "ENGINESHED_WEB_WORKER": "1"},
            folder=tmp_path,
            nothing__here=1,
        )
    told = "\n".join(caught.value.faults)
    for name in (
        "web.workers",
        "web.bind",
        "[lodging]",
        "limits.upload_byte",
        "log.level",
        "ENGINESHED_WEB_WORKER",
    ):
        assert name in told
    assert "nothing.here" in told
    assert len(caught.value.faults) == 7


def test_a_fault_names_where_the_value_came_from(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused) as caught:
        load("", {"ENGINESHED_WEB_THREADS": "0"}, folder=tmp_path)
    assert "from ENGINESHED_WEB_THREADS" in caught.value.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("web.workers", "0"),
        ("web.workers", "²"),
        ("web.workers", "-1"),
        ("web.bind", "127.0.0.1:70000"),
        ("web.bind", "127.0.0.1"),
        ("portal.public_url", "ftp://portal"),
        ("portal.public_url", "https://user@portal"),
        ("portal.public_url", "https://portal?x=1"),
        ("portal.data_dir", ""),
        ("portal.name", "two\nlines"),
        ("database.url", "oracle://host/db"),
        ("database.url", "mysql+mysqldb://host/db"),
        ("database.url", "engineshed.db"),
        ("database.url", "postgresql://u:p@host:notaport/db"),
        ("database.url", "mariadb://u:p@[::1/db"),
        ("limits.upload_bytes", "12"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsRefused) as caught:
        load_settings(None, {}, flags={name: value})
    assert [fault.split(" ")[0] for fault in caught.value.faults] == [name]


def test_a_truth_value_is_no_number(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused):
        load("[web]\nworkers = true\n", folder=tmp_path)


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused) as caught:
        load_settings(tmp_path / "absent.toml", {})
    assert "absent.toml" in caught.value.message


def test_a_file_that_is_no_toml_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused) as caught:
        load("web = = 3", folder=tmp_path)
    assert "no valid TOML" in caught.value.message


def test_other_programs_variables_are_none_of_our_business() -> None:
    load_settings(None, {"ENGINESHED_KEY_PASSPHRASE_FILE": "/x", "PATH": "/bin"})


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgresql://host/db", "postgresql+psycopg://host/db"),
        ("postgres://host/db", "postgresql+psycopg://host/db"),
        ("mariadb://host/db", "mariadb+pymysql://host/db"),
        ("sqlite:////srv/x.db", "sqlite+pysqlite:////srv/x.db"),
        ("postgresql://u:p/#w@[::1]:5432/db?a=b@c:d", "postgresql+psycopg://u:p/#w@[::1]:5432/db?a=b@c:d"),
        ("postgresql+psycopg://host/db", "postgresql+psycopg://host/db"),
    ],
)
def test_a_database_url_always_names_its_driver(given: str, used: str) -> None:
    assert load_settings(None, {}, flags={"database.url": given}).database_url == used


def test_without_a_database_url_sqlite_lies_in_the_data_folder(tmp_path: Path) -> None:
    settings = load_settings(None, {}, flags={"portal.data_dir": str(tmp_path)})
    assert settings.database_url == f"sqlite+pysqlite:///{tmp_path}/engineshed.db"
    assert line(settings, "database.url") == (settings.database_url, "default")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://shed:s3cret@host/db",
        "postgresql://shed:s3cret/with@host/db",
        "postgresql://host/db?user=shed&password=s3cret",
    ],
)
def test_a_password_is_never_shown(url: str) -> None:
    settings = load_settings(None, {"ENGINESHED_DATABASE_URL": url})
    shown = repr(settings) + "".join(one.value for one in settings.lines)
    assert "s3cret" not in shown
    assert "s3cret" in settings.database_url


def test_a_password_is_not_in_the_error_either() -> None:
    with pytest.raises(SettingsRefused) as caught:
        load_settings(None, {"ENGINESHED_DATABASE_URL": "oracle://shed:s3cret@host/db"})
    assert "s3cret" not in caught.value.message


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("postgresql://shed:s3cret@host/db\n", encoding="utf-8")
    settings = load_settings(None, {"ENGINESHED_DATABASE_URL_FILE": str(secret)})
    assert settings.database_url == "postgresql+psycopg://shed:s3cret@host/db"
    assert line(settings, "database.url")[1] == "ENGINESHED_DATABASE_URL_FILE"


def test_a_secret_both_as_value_and_as_file_is_a_fault(tmp_path: Path) -> None:
    env = {"ENGINESHED_DATABASE_URL_FILE": str(tmp_path / "url"), "ENGINESHED_DATABASE_URL": "sqlite://"}
    with pytest.raises(SettingsRefused) as caught:
        load_settings(None, env)
    assert "both set" in caught.value.message


def test_a_secret_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused) as caught:
        load_settings(None, {"ENGINESHED_DATABASE_URL_FILE": str(tmp_path / "absent")})
    assert "ENGINESHED_DATABASE_URL_FILE" in caught.value.message


def test_only_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused) as caught:
        load_settings(None, {"ENGINESHED_WEB_WORKERS_FILE": str(tmp_path)})
    assert "ENGINESHED_WEB_WORKERS_FILE names no setting" in caught.value.message


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("127.0.0.1", "127.0.0.1/32"),
        ("127.0.0.1,::1  10.20.0.0/16", "127.0.0.1/32, ::1/128, 10.20.0.0/16"),
    ],
)
def test_networks_are_listed_in_one_text(text: str, shown: str, tmp_path: Path) -> None:
    settings = load(folder=tmp_path, web__proxies=text)
    assert line(settings, "web.proxies")[0] == shown
    assert ", ".join(map(str, settings.proxies)) == shown


@pytest.mark.parametrize("text", ["everybody", "*", "10.0.0.5/8", "127.0.0.1/33", "1.2.3", "::1, host"])
def test_a_network_that_cannot_be_read_is_a_fault(text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match=r"web\.proxies"):
        load(folder=tmp_path, web__proxies=text)


def test_a_network_is_added_to_the_fault_in_short(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused) as caught:
        load(folder=tmp_path, web__proxies=" ".join(f"10.0.0.{number}" for number in range(65)))
    assert "at most 64 networks" in caught.value.message


@pytest.mark.parametrize("text", ["", "/_blobs", "/inner/packages"])
def test_the_path_of_the_packages_in_front_is_taken_as_it_is(text: str, tmp_path: Path) -> None:
    assert load(folder=tmp_path, web__accel=text, web__proxies="127.0.0.1").accel == text


@pytest.mark.parametrize("text", ["_blobs", "/_blobs/", "/", "/a/../b", "/a b", "//a", "/a\nX-Other: 1"])
def test_a_path_of_another_form_is_a_fault(text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match=r"web\.accel"):
        load(folder=tmp_path, web__accel=text, web__proxies="127.0.0.1")


def test_packages_are_not_handed_to_a_web_server_nobody_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match=r"web\.accel is set and web\.proxies is not"):
        load(folder=tmp_path, web__accel="/_blobs")
