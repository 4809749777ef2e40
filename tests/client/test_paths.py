from pathlib import Path

import pytest

from engineshed_client.errors import SettingsRefused
from engineshed_client.paths import Paths

BASE = Path("/srv/engine-host").absolute()


def test_everything_of_the_updater_lies_below_update() -> None:
    paths = Paths(BASE)
    for path in (paths.journal, paths.staged, paths.failed, paths.outbox, paths.seen, paths.ext_lib):
        assert path.is_relative_to(BASE / "update")


def test_the_first_engine_left_on_a_day_has_no_number() -> None:
    assert Paths(BASE).previous("20261122", 1) == BASE / "engine_20261122"


def test_the_second_engine_left_on_a_day_has_a_number() -> None:
    assert Paths(BASE, "portal").previous("20261122", 2) == BASE / "portal_20261122_2"


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("engine_20261122", ("20261122", 1)),
        ("engine_20261122_2", ("20261122", 2)),
        ("engine_20261122_10", ("20261122", 10)),
        ("engine_20261122_1", None),
        ("engine_20261122_02", None),
        ("engine_20261122_old", None),
        ("engine_2026112", None),
        ("engine", None),
        ("portal_20261122", None),
        ("engine_２0261122", None),
    ],
)
def test_only_names_the_updater_gives_are_previous_versions(name: str, order: tuple[str, int] | None) -> None:
    assert Paths(BASE).previous_order(name) == order


def test_a_relative_base_is_refused() -> None:
    with pytest.raises(SettingsRefused):
        Paths(Path("engine-host"))


@pytest.mark.parametrize("name", ["", "..", "a/b", "update", "C:", "engine folder", "_x"])
def test_an_engine_folder_that_is_no_plain_name_is_refused(name: str) -> None:
    with pytest.raises(SettingsRefused):
        Paths(BASE, name)
