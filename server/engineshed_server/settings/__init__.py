"""Settings: one TOML file, environment and flags become one frozen value; every fault is told at once.

Precedence: flag > environment > file > default. In the environment a setting is named
``ENGINESHED_<SECTION>_<KEY>``; a secret one may also be given as ``…_FILE``, the path of a file that
holds it. ``Settings.lines`` lists each setting with its value and where that came from (``config
show``); a secret's value is never in it, nor in an error.
"""

from __future__ import annotations

import socket
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engineshed_server.errors import SettingsRefused
from engineshed_server.settings.fields import ENV_PREFIX, FIELDS, HIDDEN, MAX_NODE_CHARS, Field, Value
from engineshed_server.settings.networks import Network, parse_networks

__all__ = ["FIELDS", "Field", "SettingLine", "Settings", "load_settings"]

MAX_FILE_BYTES = 1024 * 1024
_BY_NAME = {field.name: field for field in FIELDS}
_SECTIONS = frozenset(field.name.partition(".")[0] for field in FIELDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingLine:
    """One line of ``config show``: a setting, its value (never a secret), and where it came from."""

    name: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of a process.

    Attributes:
        data_dir: absolute. ca_file: None when the system's CAs are meant.
        proxies: networks of the web servers in front.
        broker: URL of the one by which workers are called; empty: a folder. node: this host's name for jobs.
        metrics_allow: networks that read metrics without a token.
        accel: path under which these have the packages, without a slash at its end; empty: they do not.
        database_url: always names the driver; may hold a password.
        lines: every setting for people, secrets hidden.
    """

    name: str
    public_url: str
    data_dir: Path
    ca_file: Path | None
    bind: str
    workers: int
    threads: int
    proxies: tuple[Network, ...]
    accel: str
    session_idle_s: int
    session_s: int
    database_url: str
    upload_bytes: int
    open_uploads: int
    open_uploads_per_token: int
    free_bytes: int
    json_bytes: int
    poll_s: int
    access_token_s: int
    approval_s: int
    broker: str
    job_workers: int
    node: str
    metrics_allow: tuple[Network, ...]
    log_level: str
    log_format: str
    lines: tuple[SettingLine, ...]

    def __repr__(self) -> str:
        return f"Settings(name={self.name!r}, data_dir={str(self.data_dir)!r})"


def load_settings(
    file: Path | None, env: Mapping[str, str], *, flags: Mapping[str, str | int] | None = None
) -> Settings:
    """Put together the settings of a process.

    Args:
        file: TOML file; None for none.
        env: the environment, usually ``os.environ``.
        flags: values by ``section.key`` given on the command line.

    Raises:
        SettingsRefused: with every fault found, not only the first.
    """
    faults: list[str] = []
    found: dict[str, tuple[Value, str]] = {field.name: (field.default, "default") for field in FIELDS}
    for layer in (_from_file(file, faults), _from_env(env, faults), _from_flags(flags or {}, faults)):
        found.update(layer)
    values: dict[str, Value] = {}
    for field in FIELDS:
        value, origin = found[field.name]
        try:
            values[field.name] = field.check(value)
        except ValueError as err:
            shown = HIDDEN if field.hide is not None else repr(value)
            faults.append(f"{field.name} (from {origin}) is {shown}, expected {err}")
    if values.get("web.accel") and values.get("web.proxies") == "":
        faults.append("web.accel is set and web.proxies is not, expected the web server that sends for us")
    if faults:
        raise SettingsRefused(faults)
    return _build(values, {name: origin for name, (_, origin) in found.items()})


def _build(values: Mapping[str, Value], origins: Mapping[str, str]) -> Settings:
    data_dir = Path(str(values["portal.data_dir"])).expanduser().absolute()
    ca_file = str(values["portal.ca_file"])
    url = str(values["database.url"]) or f"sqlite+pysqlite:///{data_dir}/engineshed.db"
    shown = {**values, "database.url": url}  # what is in force, not how to find it
    return Settings(
        name=str(values["portal.name"]),
        public_url=str(values["portal.public_url"]),
        data_dir=data_dir,
        ca_file=Path(ca_file).expanduser().absolute() if ca_file else None,
        bind=str(values["web.bind"]),
        workers=int(values["web.workers"]),
        threads=int(values["web.threads"]),
        proxies=parse_networks(str(values["web.proxies"])),
        accel=str(values["web.accel"]),
        session_idle_s=int(values["web.session_idle_s"]),
        session_s=int(values["web.session_s"]),
        database_url=url,
        upload_bytes=int(values["limits.upload_bytes"]),
        open_uploads=int(values["limits.open_uploads"]),
        open_uploads_per_token=int(values["limits.open_uploads_per_token"]),
        free_bytes=int(values["limits.free_bytes"]),
        json_bytes=int(values["limits.json_bytes"]),
        poll_s=int(values["engines.poll_s"]),
        access_token_s=int(values["engines.access_token_s"]),
        approval_s=int(values["engines.approval_s"]),
        broker=str(values["jobs.broker"]),
        job_workers=int(values["jobs.workers"]),
        node=str(values["jobs.node"]) or socket.gethostname()[:MAX_NODE_CHARS],
        metrics_allow=parse_networks(str(values["metrics.allow"])),
        log_level=str(values["log.level"]),
        log_format=str(values["log.format"]),
        lines=tuple(_line(field, shown[field.name], origin=origins[field.name]) for field in FIELDS),
    )


def _line(field: Field, value: Value, *, origin: str) -> SettingLine:
    text = str(value)
    return SettingLine(name=field.name, value=text if field.hide is None else field.hide(text), origin=origin)


def _from_file(file: Path | None, faults: list[str]) -> dict[str, tuple[Value, str]]:
    if file is None:
        return {}
    try:
        with file.open("rb") as stream:
            document = tomllib.loads(stream.read(MAX_FILE_BYTES).decode("utf-8"))
    except OSError as err:
        faults.append(f"the configuration file {file} cannot be read: {err.strerror or err}")
        return {}
    except ValueError as err:
        faults.append(f"the configuration file {file} is no valid TOML: {err}")
        return {}
    found: dict[str, tuple[Value, str]] = {}
    for section, table in document.items():
        if section not in _SECTIONS or not isinstance(table, dict):
            faults.append(
                f"{file}: there is no section [{section}]; there are {', '.join(sorted(_SECTIONS))}"
            )
            continue
        for key, value in table.items():
            name = f"{section}.{key}"
            if name not in _BY_NAME:
                faults.append(f"{file}: there is no setting {name}")
            elif isinstance(value, bool) or not isinstance(value, str | int):
                faults.append(
                    f"{file}: {name} is a TOML {type(value).__name__}, expected a text or a whole number"
                )
            else:
                found[name] = (value, str(file))
    return found


def _from_env(env: Mapping[str, str], faults: list[str]) -> dict[str, tuple[Value, str]]:
    found: dict[str, tuple[Value, str]] = {}
    known: set[str] = set()
    for field in FIELDS:
        known.update((field.env, f"{field.env}_FILE") if field.hide is not None else (field.env,))
        if field.env in env:
            found[field.name] = (env[field.env], field.env)
        if field.hide is not None and f"{field.env}_FILE" in env:
            _secret_from_file(field, env, found=found, faults=faults)
    prefixes = tuple(f"{ENV_PREFIX}{section.upper()}_" for section in sorted(_SECTIONS))
    for name in sorted(env):
        if name.startswith(prefixes) and name not in known:
            faults.append(f"the environment variable {name} names no setting")
    return found


def _secret_from_file(
    field: Field, env: Mapping[str, str], *, found: dict[str, tuple[Value, str]], faults: list[str]
) -> None:
    name = f"{field.env}_FILE"
    if field.env in env:
        faults.append(f"{field.env} and {name} are both set, expected one of them")
        return
    try:
        found[field.name] = (Path(env[name]).read_text("utf-8").strip(), name)
    except (OSError, UnicodeDecodeError) as err:
        faults.append(f"{name}: the file {env[name]} cannot be read: {err}")


def _from_flags(flags: Mapping[str, str | int], faults: list[str]) -> dict[str, tuple[Value, str]]:
    found: dict[str, tuple[Value, str]] = {}
    for name, value in flags.items():
        if name in _BY_NAME:
            found[name] = (value, "flag")
        else:
            faults.append(f"the flag for {name} names no setting")
    return found
