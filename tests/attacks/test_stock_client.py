"""Anybody's TUF client reads what a portal publishes: python-tuf as it comes, with nothing but the root."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tuf.api.exceptions import DownloadHTTPError, RepositoryError
from tuf.ngclient import FetcherInterface, Updater

from tests.attacks.stage import REPOSITORY, Engine, Stage
from tests.vendor import Vendor


class WithToken(FetcherInterface):
    """What a client needs for packages: the token goes along with what is asked for below ``targets/``."""

    def __init__(self, token: str) -> None:
        self._token = token

    def _fetch(self, url: str) -> Iterator[bytes]:
        wanted = urllib.request.Request(url)
        if "/targets/" in url:
            wanted.add_header("Authorization", f"Bearer {self._token}")
        try:
            with urllib.request.urlopen(wanted, timeout=60) as answer:
                yield answer.read()
        except urllib.error.HTTPError as err:
            raise DownloadHTTPError(str(err), err.code) from err


def client(stage: Stage, folder: Path, root: bytes, fetcher: FetcherInterface | None = None) -> Updater:
    for name in ("metadata", "targets"):
        (folder / name).mkdir(exist_ok=True)
    base = f"{stage.portal.url}{REPOSITORY}"
    return Updater(
        str(folder / "metadata"),
        f"{base}/metadata/",
        target_dir=str(folder / "targets"),
        target_base_url=f"{base}/targets/",
        fetcher=fetcher,
        bootstrap=root,
    )


def path_of(engine: Engine) -> str:
    return f"{engine.product}/1.1.0/{engine.product}-1.1.0-any.zip"


def test_it_reads_the_metadata_with_only_the_root(stage: Stage, engine: Engine, tmp_path: Path) -> None:
    updater = client(stage, tmp_path, stage.vendor.root)
    updater.refresh()
    found = updater.get_targetinfo(path_of(engine))
    assert found is not None
    assert found.custom["version"] == "1.1.0"


def test_it_downloads_a_package_when_its_fetcher_sends_a_token(
    stage: Stage, engine: Engine, tmp_path: Path
) -> None:
    updater = client(stage, tmp_path, stage.vendor.root, WithToken(stage.portal.token))
    found = updater.get_targetinfo(path_of(engine))
    assert found is not None
    package = Path(updater.download_target(found))
    listed = stage.vendor.view(tmp_path / "look").find(path_of(engine))
    assert listed is not None
    assert package.read_bytes() == stage.vendor.package_bytes(listed)


def test_without_a_token_it_gets_no_package(stage: Stage, engine: Engine, tmp_path: Path) -> None:
    updater = client(stage, tmp_path, stage.vendor.root)
    found = updater.get_targetinfo(path_of(engine))
    assert found is not None
    with pytest.raises(DownloadHTTPError) as caught:
        updater.download_target(found)
    assert caught.value.status_code == 401


def test_with_another_vendors_root_it_trusts_nothing(stage: Stage, tmp_path: Path) -> None:
    stranger = Vendor(tmp_path, name="stranger")
    with pytest.raises(RepositoryError):
        client(stage, tmp_path, stranger.root).refresh()
