"""Data without end, and data that hardly comes: what a hacked site or the network can do to an updater."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attacks.stage import REPOSITORY, Engine, Stage
from tests.faulty_http import Answer, answers

# A whole updater that verifies metadata and installs has 85 MB; in a second loopback brings a gigabyte.
MAX_PEAK_BYTES = 160 * 1024 * 1024
MAX_SENT_BYTES = 16 * 1024 * 1024  # what the sockets hold when the updater hangs up
SHORT = {
    "METADATA_DEADLINE_S": 2,
    "SMALL_DEADLINE_S": 2,
    "_DOWNLOAD_GRACE_S": 2,
    "_SLOWEST_BYTES_PER_S": 10**9,
}
PATIENCE_S = 60

METADATA = ("timestamp.json", "2.root.json", "snapshot", "product")


def path_of(stage: Stage, engine: Engine, name: str) -> str:
    """Where the newest file of a role lies, which no engine has seen; or that of the path itself."""
    stage.vendor.refresh(engine.product)
    stage.upload_metadata()
    published = stage.vendor.repository.published()
    found = {
        "snapshot": published.snapshot.name,
        "product": published.roles[engine.product].name,
    }
    return f"{REPOSITORY}/metadata/{found.get(name, name)}"


@pytest.mark.parametrize("name", METADATA)
def test_metadata_without_end_costs_neither_memory_nor_disk(stage: Stage, engine: Engine, name: str) -> None:
    path, before = path_of(stage, engine, name), engine.work_bytes()
    with stage.between() as site:
        site.at(path, answers.endless({"Content-Type": "application/json"}))
        done = engine.update(site)
        assert site.most_sent_bytes < MAX_SENT_BYTES
    engine.check_unharmed(done, code="too-large", exit_code=69)
    assert done.peak_bytes < MAX_PEAK_BYTES
    assert engine.work_bytes() < before + 64 * 1024


def test_an_answer_to_a_poll_without_end_costs_neither_memory_nor_disk(stage: Stage, engine: Engine) -> None:
    before = engine.work_bytes()
    with stage.between() as site:
        site.at("/api/v1/poll", answers.endless({"Content-Type": "application/json"}))
        done = engine.update(site)
        assert site.most_sent_bytes < MAX_SENT_BYTES
    engine.check_unharmed(done, code="too-large", exit_code=69)
    assert (done.peak_bytes < MAX_PEAK_BYTES, engine.work_bytes() < before + 64 * 1024) == (True, True)


DRIPS: dict[str, Answer] = {
    "its body": answers.dripping(b"{" * 10_000, 0.2, {"Content-Type": "application/json"}),
    "its headers": answers.dripping_headers(0.2),
    "nothing": answers.silent(),
}


@pytest.mark.parametrize(
    ("name", "drip"), [("timestamp.json", "its body"), *(("poll", drip) for drip in DRIPS)]
)
def test_what_hardly_comes_is_given_up_at_a_deadline(
    stage: Stage, engine: Engine, name: str, drip: str
) -> None:
    """Each byte comes in time for any timeout between two of them."""
    with stage.between() as site:
        site.at("/api/v1/poll" if name == "poll" else f"{REPOSITORY}/metadata/{name}", DRIPS[drip])
        done = engine.update(site, shortened=SHORT)
    engine.check_unharmed(done, code="deadline", exit_code=69)
    assert done.seconds < PATIENCE_S


def test_a_package_without_end_or_that_hardly_comes_is_given_up_and_fetched_when_it_is_served_well(
    stage: Stage, tmp_path: Path
) -> None:
    """The attempt waits, the engine runs; the same order is carried out when the site is honest again."""
    with stage.engine() as engine, stage.between() as site:
        path = f"{engine.product}/1.1.0/{engine.product}-1.1.0-any.zip"
        target = stage.vendor.view(tmp_path / "look").find(path)
        assert target is not None
        data, url = stage.vendor.package_bytes(target), f"{REPOSITORY}/targets/{target.download_name}"
        bad = (answers.endless(), answers.dripping(data, 0.2, {"Content-Type": "application/zip"}))
        for answer in bad:
            site.at(url, answer)
            done = engine.update(site, shortened=SHORT)
            assert (done.exit_code, engine.version) == (69, "1.0.0"), done.said
            assert done.peak_bytes < MAX_PEAK_BYTES
            assert done.seconds < PATIENCE_S
            assert engine.work_bytes() < target.length_bytes + 256 * 1024
        assert site.most_sent_bytes < MAX_SENT_BYTES
        codes = [line.partition(" code=")[2].partition(" ")[0] for line in engine.log("RETRY")]
        assert codes == ["too-large", "deadline"]
        done = engine.update()
        assert (done.exit_code, engine.version) == (0, "1.1.0"), done.said
