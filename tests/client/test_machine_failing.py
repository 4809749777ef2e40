"""Every file-system effect of an update fails, once and for the rest of the run: the engine is never lost.

Either the update is right, or it is given up with the old engine running as it was. When the disk stays
bad even the way back may have to wait; then a recovery on a mended disk brings the old engine back.
"""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engineshed_client.errors import ClientError
from engineshed_client.fsops import FsOps
from engineshed_client.install.trees import list_previous
from engineshed_packages.protocol import Outcome
from tests.client.host import FailingFs, Host, KillingFs, Warehouse, memory_folder, stock
from tests.client.invariants import check_customer, check_instant, check_settled


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(dir=memory_folder()))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def origin(folder: Path) -> Host:
    warehouse: Warehouse = stock(folder / "warehouse")
    host = Host(folder / "origin", warehouse)
    host.install("1.0.0")
    host.customise()
    return host


def _effects(origin: Host, folder: Path, behaviour: str) -> list[str]:
    """The effects of a run in which nothing fails."""
    dry, host = KillingFs(), origin.copy(folder / "dry")
    host.processes.behaviour = {"1.1.0": behaviour}
    host.install("1.1.0", dry)
    shutil.rmtree(folder / "dry")
    return dry.effects


def _install(host: Host, fs: FsOps) -> Outcome | None:
    """The outcome, or None when the attempt could not begin or not be ended."""
    try:
        found = host.install("1.1.0", fs)
    except ClientError:
        return None
    assert isinstance(found, Outcome)
    return found


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize("behaviour", ["", "sick"])
def test_any_effect_fails_once_and_an_engine_runs_as_it_should(
    origin: Host, folder: Path, number: int, behaviour: str
) -> None:
    effects = _effects(origin, folder, behaviour)
    # Up to its first start a sick engine is updated like any other.
    for at in range(effects.index("start engine engine") if behaviour else 0, len(effects)):
        host = origin.copy(folder / f"once-{number}")
        host.processes.behaviour = {"1.1.0": behaviour}
        before, kept, reports = host.engine(), list_previous(host.paths), len(host.reports())
        fs = FailingFs(at, number)
        try:
            outcome = _install(host, fs)
            check_instant(host, "1.0.0", exchange=True)
            assert outcome is not Outcome.BROKEN
            assert host.processes.running == host.version
            host.recover()
            check_settled(host, begun="1.0.0", wanted="1.1.0", was_running=True, reports=reports)
            check_customer(host)
            assert before in [host.engine(place) for place in (host.paths.engine, *list_previous(host.paths))]
            if host.version == "1.0.0":
                assert list_previous(host.paths) == kept
        except BaseException as err:
            err.add_note(f"failed effect {at}: {fs.effects[at : at + 1]}\n{host.log_text()}")
            raise
        shutil.rmtree(host.base)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_the_disk_stays_bad_and_a_later_recovery_brings_the_engine_back(
    origin: Host, folder: Path, number: int
) -> None:
    for at in range(len(_effects(origin, folder, ""))):
        host = origin.copy(folder / f"ever-{number}")
        reports = len(host.reports())
        fs = FailingFs(at, number, last=10**6)
        try:
            outcome = _install(host, fs)
            check_instant(host, "1.0.0", exchange=True)
            host.recover()
            if outcome is None:
                check_settled(host, begun="1.0.0", wanted="1.1.0", was_running=True, reports=reports)
            check_customer(host)
        except BaseException as err:
            err.add_note(f"failed from effect {at}: {fs.effects[at : at + 1]}, {outcome}\n{host.log_text()}")
            raise
        shutil.rmtree(host.base)
