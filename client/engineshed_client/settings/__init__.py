"""The updater's settings: ``update/updater.toml``, then the environment, then flags; the last one wins.

One frozen object per process. Every fault is collected and reported together, each with what was found,
what was expected and where it stands, so that an admin mends the file in one go.

    settings = load_settings(base, environ=os.environ, flags={"poll_s": "5"})

The environment holds ``ENGINESHED_<KEY>``, for keys of the ``[engine]`` section
``ENGINESHED_ENGINE_<KEY>``. A text stands there as it is, any other kind as it would stand in the file:
``ENGINESHED_KEPT='["licence/"]'``. Other names that begin with ENGINESHED_ are somebody else's.
"""

from __future__ import annotations

import difflib
import logging
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from engineshed_client.errors import SettingsRefused
from engineshed_client.settings.keys import COMMAND, KEYS, SECTION, Value
from engineshed_packages.errors import FileRefused, ManifestRefused
from engineshed_packages.files import read_limited
from engineshed_packages.manifest import ProbeSpec, StartSpec, StopSpec
from engineshed_packages.target import host_platform

logger = logging.getLogger(__name__)

FILE_NAME: Final = "updater.toml"
CA_NAME: Final = "ca.pem"
ENV_BASE: Final = "ENGINESHED_BASE"
MAX_FILE_BYTES: Final = 256 * 1024
_PROBES: Final = ("probe_url", "probe_tcp", "probe_command")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """The ``[engine]`` section: what replaces the word of a package's manifest, None where nothing does.

    Attributes:
        start, stop, probe_command: commands, word by word; ``{engine}``, ``{base}`` and ``{python}`` are
            filled in. env: further environment of the engine, added to the manifest's.
        probe_url, probe_tcp, probe_command: at most one is given; it replaces the manifest's probe.
        version_regex, version_pointer: how the probe's answer names the engine's version.
        good_ticks: good probes in a row that prove health. max_ticks: probes after which it is given up.
        supervisor: ``command``, or the service manager that runs the engine. service: its name there.
    """

    start: tuple[str, ...] | None = None
    stop: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    stop_timeout_s: int | None = None
    probe_url: str | None = None
    probe_tcp: str | None = None
    probe_command: tuple[str, ...] | None = None
    probe_timeout_s: int | None = None
    version_regex: str | None = None
    version_pointer: str | None = None
    good_ticks: int | None = None
    interval_s: int | None = None
    max_ticks: int | None = None
    supervisor: str = COMMAND
    service: str | None = None

    def start_for(self, spec: StartSpec) -> StartSpec:
        """How to start an engine whose manifest says *spec*."""
        return replace(spec, command=self.start or spec.command, env={**spec.env, **self.env})

    def stop_for(self, spec: StopSpec) -> StopSpec:
        """How to stop an engine whose manifest says *spec*."""
        timeout_s = spec.timeout_s if self.stop_timeout_s is None else self.stop_timeout_s
        return replace(spec, command=self.stop or spec.command, timeout_s=timeout_s)

    def probe_for(self, spec: ProbeSpec) -> ProbeSpec:
        """How to probe an engine whose manifest says *spec*.

        Raises:
            SettingsRefused: the settings do not fit what the manifest says.
        """
        changes: dict[str, Any] = {  # Any: each value has the kind of the attribute it replaces
            name: value
            for name, value in (
                ("timeout_s", self.probe_timeout_s),
                ("interval_s", self.interval_s),
                ("good_ticks", self.good_ticks),
                ("max_ticks", self.max_ticks),
            )
            if value is not None
        }
        if self.version_regex is not None or self.version_pointer is not None:
            changes |= {"version_regex": self.version_regex, "version_pointer": self.version_pointer}
        if (self.probe_url, self.probe_tcp, self.probe_command) != (None, None, None):
            changes |= {"url": self.probe_url, "tcp": self.probe_tcp, "command": self.probe_command}
        if self.probe_tcp is not None:
            changes |= {"version_regex": None, "version_pointer": None}
        try:
            return replace(spec, **changes)
        except ManifestRefused as err:
            fault = f"[{SECTION}] does not fit the package's manifest: {err.message}"
            raise SettingsRefused([fault]) from err


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the updater is told.

    Attributes:
        base: the folder that holds the engine's folder and ``update/``, absolute.
        portals: base addresses tried in order; empty means those that enrolment gave.
        ca_file: CAs to trust instead of the system's, or None. trusted_root: the vendor's root metadata.
            Relative paths of both start at ``update/``.
        engine_folder: name of the engine's folder. keep_previous: how many previous engines stay.
        max_rate_kib: KiB per second of a download at most; None: as fast as they come.
        unlisted: what becomes of files in no manifest: ``carry``, ``refuse`` or ``leave``.
        kept: patterns of further files of the customer. runtime_outside: runtime folders that lie
            outside the engine's folder and are not carried.
    """

    base: Path
    product: str
    platform: str
    trusted_root: Path
    portals: tuple[str, ...] = ()
    ca_file: Path | None = None
    engine_folder: str = "engine"
    keep_previous: int = 2
    poll_s: int = 60
    max_rate_kib: int | None = None
    unlisted: str = "carry"
    kept: tuple[str, ...] = ()
    runtime_outside: tuple[str, ...] = ()
    engine: EngineSettings = field(default_factory=EngineSettings)


def find_base(flag: str | None, environ: Mapping[str, str]) -> Path:
    """The base folder: the flag's, else the environment's, absolute.

    Raises:
        SettingsRefused: neither names one, or there is no such folder.
    """
    text = flag if flag is not None else environ.get(ENV_BASE)
    if not text:
        raise SettingsRefused([f"no base folder is given: use --base FOLDER or set {ENV_BASE}"])
    base = Path(text).absolute()
    if not base.is_dir():
        raise SettingsRefused([f"the base {base} is no folder, expected the one that holds the engine's"])
    return base


def load_settings(
    base: Path,
    *,
    environ: Mapping[str, str],
    flags: Mapping[str, str],
    unknown: Literal["refuse", "pass"] = "refuse",
) -> Settings:
    """Read all settings of *base*.

    Args:
        flags: settings given on the command line, by name as in the file (``engine.start``), written as
            in the environment.
        unknown: what becomes of names in the file that are no setting: a fault, or a line in the log, as
            for an updater that goes on in place of a newer one.

    Raises:
        SettingsRefused: every fault of file, environment and flags, together.
    """
    faults: list[str] = []
    path = base / "update" / FILE_NAME
    in_environ = {key.name: environ[key.env_name] for key in KEYS.values() if key.env_name in environ}
    values = {
        **_check(_known(_read_file(path, faults), unknown), path.name, faults),
        **_check(_from_texts(in_environ), "environment", faults),
        **_check(_from_texts(flags), "flags", faults),
    }
    if not faults and "product" not in values:
        faults.append(f'{path.name}: product is missing, expected a line such as product = "portal"')
    probes = [name for name in _PROBES if f"{SECTION}.{name}" in values]
    if len(probes) > 1:
        faults.append(f"{SECTION}: found {' and '.join(probes)}, expected one probe")
    by = values.get(f"{SECTION}.supervisor", COMMAND)
    if by != COMMAND and f"{SECTION}.service" not in values:
        faults.append(f'{SECTION}: found supervisor = "{by}" without service, expected the name it has there')
    if faults:
        raise SettingsRefused(faults)
    return _settings(base, values)


def _read_file(path: Path, faults: list[str]) -> dict[str, object]:
    """The file's values by flat name; what keeps it from being read becomes a fault."""
    try:
        table = tomllib.loads(read_limited(path, MAX_FILE_BYTES).decode("utf-8"))
    except FileRefused as err:
        hint = ": enrol this base first, or write the file" if err.code == "file-missing" else ""
        faults.append(err.message + hint)
        return {}
    except ValueError as err:
        faults.append(f"{path} is no valid TOML in UTF-8: {err}")
        return {}
    section = table.pop(SECTION, {})
    if not isinstance(section, dict):
        faults.append(f"{path.name}: {SECTION} is {section!r:.80}, expected a section [{SECTION}]")
        return table
    return {**table, **{f"{SECTION}.{name}": value for name, value in section.items()}}


def _known(found: dict[str, object], unknown: Literal["refuse", "pass"]) -> dict[str, object]:
    """*found* without the names that are passed over."""
    if unknown == "refuse":
        return found
    for name in sorted(found.keys() - KEYS.keys()):
        logger.warning("setting passed over: this updater does not know it", extra={"setting": name})
    return {name: value for name, value in found.items() if name in KEYS}


def _from_texts(texts: Mapping[str, str]) -> dict[str, object]:
    """Values from outside the file; one that is not the TOML it should be stays a text, and a fault."""
    values: dict[str, object] = {}
    for name, text in texts.items():
        values[name] = text
        if name in KEYS and not KEYS[name].is_text:
            try:
                values.update({name: tomllib.loads(f"value = {text}")["value"]})
            except tomllib.TOMLDecodeError:
                continue
    return values


def _check(found: Mapping[str, object], origin: str, faults: list[str]) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for name, value in found.items():
        key = KEYS.get(name)
        if key is None:
            near = difflib.get_close_matches(name, KEYS, n=1)
            faults.append(f"{origin}: {name} is no setting" + (f", did you mean {near[0]}?" if near else ""))
            continue
        try:
            values[name] = key.read(value)
        except ValueError as err:
            faults.append(f"{origin}: {name} is {value!r:.80}, expected {err}")
    return values


def _settings(base: Path, values: Mapping[str, Any]) -> Settings:
    """The checked values as one object; relative files start at ``update/``.

    ``Any``: each value has the kind of its attribute because the table of keys read it so.
    """
    update = base / "update"
    given = {name: value for name, value in values.items() if "." not in name}
    given["trusted_root"] = update / values.get("trusted_root", "trusted_root.json")
    if "ca_file" in given:
        given["ca_file"] = update / given["ca_file"]
    elif (update / CA_NAME).is_file():  # from `enrol --ca-file`, which changes no updater.toml that is there
        given["ca_file"] = update / CA_NAME
    given.setdefault("platform", host_platform())
    engine = {name.partition(".")[2]: value for name, value in values.items() if "." in name}
    return Settings(base=base, engine=EngineSettings(**engine), **given)
