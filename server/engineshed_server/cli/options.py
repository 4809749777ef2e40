"""What all commands share: how the settings are found.

The configuration file is named by ``--config``, else by ENGINESHED_CONFIG, else it is
``/etc/engineshed/portal.toml`` when that exists. ``--set section.key=value`` gives a single setting.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import click

from engineshed_server.domain.actors import Actor
from engineshed_server.errors import SetupRefused
from engineshed_server.settings import FIELDS, Settings, load_settings

P = ParamSpec("P")
R = TypeVar("R")

CONFIG_ENV = "ENGINESHED_CONFIG"
DEFAULT_CONFIG = Path("/etc/engineshed/portal.toml")
ACTOR = Actor("cli")
_META = "engineshed_server.cli"  # QUIET of ``output`` is one of the keys below it


def now() -> datetime:
    """The clock, read at the edge."""
    return datetime.now(UTC)


def with_settings(command: Callable[Concatenate[Settings, P], R]) -> Callable[P, R]:
    """Give *command* the settings as its first argument, and the options that find them.

    Raises:
        SettingsRefused: all faults of the configuration together.
    """

    @click.option(
        "--config",
        type=click.Path(path_type=Path),
        expose_value=False,
        callback=_remember,
        help=f"Configuration file [env: {CONFIG_ENV}].",
    )
    @click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="SECTION.KEY=VALUE",
        expose_value=False,
        callback=_remember,
        help="A single setting; may be repeated.",
    )
    @click.option(
        "-q", "--quiet", is_flag=True, expose_value=False, callback=_remember, help="No talk on stderr."
    )
    @wraps(command)
    def found(*args: P.args, **kwargs: P.kwargs) -> R:
        meta = click.get_current_context().meta
        return command(find_settings(meta[f"{_META}.config"], meta[f"{_META}.assignments"]), *args, **kwargs)

    return found


def _remember(context: click.Context, parameter: click.Parameter, value: object) -> None:
    context.meta[f"{_META}.{parameter.name}"] = value


def repeated_options() -> list[str]:
    """The options of the running command that find the settings, to give them to a child process."""
    meta = click.get_current_context().meta
    config = meta[f"{_META}.config"]
    found = [] if config is None else ["--config", str(config)]
    for assignment in meta[f"{_META}.assignments"]:
        found += ["--set", assignment]
    return found


def current_config() -> Path | None:
    """The configuration file of the running command, absolute; None when there is none."""
    found = find_config(click.get_current_context().meta[f"{_META}.config"])
    return None if found is None else found.absolute()


def current_assignments() -> tuple[str, ...]:
    """What ``--set`` gave to the running command."""
    found: tuple[str, ...] = click.get_current_context().meta[f"{_META}.assignments"]
    return found


def find_settings(config: Path | None, assignments: tuple[str, ...]) -> Settings:
    """Load the settings as the options and the environment say."""
    flags: dict[str, str | int] = {}
    for assignment in assignments:
        name, separator, value = assignment.partition("=")
        if not separator:
            raise click.UsageError(f"--set {assignment!r}: expected SECTION.KEY=VALUE")
        flags[name] = value
        field = next((one for one in FIELDS if one.name == name), None)
        if field is not None and field.hide is not None and field.hide(value) != value:
            raise click.UsageError(f"--set {name}: other users can read it there; set {field.env} instead")
    return load_settings(find_config(config), os.environ, flags=flags)


def find_config(config: Path | None) -> Path | None:
    """The configuration file that counts, or None when there is none."""
    if config is not None:
        return config
    named = os.environ.get(CONFIG_ENV)
    if named:
        return Path(named)
    return DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None


def refuse_root(data_dir: Path) -> None:
    """Refuse to work as root in another user's data folder.

    SQLite makes files beside its database; made by root they would lock the portal out.
    """
    if sys.platform == "win32" or os.geteuid() != 0 or not data_dir.exists():
        return
    if data_dir.stat().st_uid == 0:
        return
    try:
        owner = data_dir.owner()
    except KeyError:
        owner = f"#{data_dir.stat().st_uid}"
    raise SetupRefused(
        "setup-owner",
        f"{data_dir} belongs to {owner}: run this as that user, as with sudo -u '{owner}' …",
    )
