"""Files of the pages: kept for ever under addresses that name their content, small, and known where from."""

import gzip
import hashlib
import re
import tomllib
from importlib import resources
from pathlib import Path

import pytest

from engineshed_server.domain.roles import Role
from engineshed_server.web.assets import load_assets
from tests.server.web.conftest import Site

STATIC = Path(str(resources.files("engineshed_server.web"))) / "static"
FIRST_LOAD_BYTES = 120_000
VENDORED = tomllib.loads((STATIC / "vendored.toml").read_text("utf-8"))["vendored"]


def test_a_file_is_kept_for_ever_and_packed_for_those_who_take_that(site: Site) -> None:
    address = load_assets().address("style.css")
    packed = site.visit().http.get(address, headers={"Accept-Encoding": "br, gzip"})
    plain = site.visit().http.get(address)
    assert (packed.status_code, packed.headers["Content-Encoding"]) == (200, "gzip")
    assert "immutable" in packed.headers["Cache-Control"]
    assert packed.headers["Vary"] == "Accept-Encoding"
    assert gzip.decompress(packed.data) == plain.data == (STATIC / "style.css").read_bytes()
    assert plain.mimetype == "text/css"


def test_another_versions_address_leads_nowhere(site: Site) -> None:
    digest = load_assets().digest
    address = load_assets().address("style.css").replace(digest, "0" * len(digest))
    assert site.visit().http.get(address).status_code == 404


@pytest.mark.parametrize("name", ["vendored.toml", "../site.py", "vendor/htmx.LICENSE.txt", "nothing.css"])
def test_what_is_no_part_of_a_page_is_not_sent(site: Site, name: str) -> None:
    answer = site.visit().http.get(f"/static/{load_assets().digest}/{name}")
    assert answer.status_code == 404


def test_the_first_page_is_small(site: Site) -> None:
    page = site.log_in(Role.OWNER).get("/").text
    names = re.findall(rf"/static/{load_assets().digest}/([^\"]+)", page)
    sizes = {name: len(load_assets().files[name].packed) for name in {*names, "refresh.js"}}
    assert {"style.css", "vendor/htmx.min.js", "app.js"} <= set(sizes)
    assert len(page.encode()) + sum(sizes.values()) <= FIRST_LOAD_BYTES, sizes


@pytest.mark.parametrize("part", VENDORED, ids=[part["name"] for part in VENDORED])
def test_what_is_not_ours_is_unchanged_and_has_its_licence(part: dict[str, str]) -> None:
    for file, digest in ((part["file"], part["sha256"]), (part["licence_file"], part["licence_sha256"])):
        assert hashlib.sha256((STATIC / file).read_bytes()).hexdigest() == digest
    assert re.fullmatch(r"\d+\.\d+\.\d+", part["version"])
    assert part["licence"]


def test_everything_in_the_folder_of_what_is_not_ours_is_listed() -> None:
    listed = {part[key] for part in VENDORED for key in ("file", "licence_file")}
    assert {path.relative_to(STATIC).as_posix() for path in (STATIC / "vendor").iterdir()} == listed


def test_htmx_is_of_the_second_line() -> None:
    (htmx,) = [part for part in VENDORED if part["name"] == "htmx.org"]
    assert htmx["version"].startswith("2.0.")
