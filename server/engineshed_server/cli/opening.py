"""The portal of this host, for the commands that work on it directly.

Apart from ``options``: a command that only talks to a portal over HTTP, or only reads the settings, does
not have to load a database for that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from engineshed_server.cli.options import refuse_root
from engineshed_server.cli.serving import say_database_away
from engineshed_server.errors import SetupRefused, TryLater
from engineshed_server.services.portal import Portal
from engineshed_server.settings import Settings
from engineshed_server.wiring import open_keyless_portal, open_portal


@contextmanager
def opened(settings: Settings) -> Iterator[Portal]:
    """The portal of *settings*, closed again at the end.

    Raises:
        SetupRefused: there is none, it cannot be read, or root would leave files there that the portal
            cannot use.
    """
    with _closed_again(settings, open_portal) as portal:
        yield portal


@contextmanager
def opened_keyless(settings: Settings) -> Iterator[Portal]:
    """As ``opened``, also when the portal's order key is lost."""
    with _closed_again(settings, open_keyless_portal) as portal:
        yield portal


@contextmanager
def _closed_again(settings: Settings, open_one: Callable[[Settings], Portal]) -> Iterator[Portal]:
    try:
        refuse_root(settings.data_dir)
        portal = open_one(settings)
    except OSError as err:
        message = f"the data folder {settings.data_dir} cannot be used: {err.strerror or err}: {err.filename}"
        raise SetupRefused("setup-folder", message) from err
    try:
        yield portal
    finally:
        portal.close()


def check_served(settings: Settings) -> None:
    """Say before serving what cannot heal by itself; a database that is away may come back.

    Raises:
        SetupRefused: there is no portal, or it needs ``db upgrade``, or its files cannot be used.
    """
    try:
        with opened(settings):
            pass
    except TryLater as err:
        say_database_away(settings, err)
