"""The invariants of ``docs/states.md`` that hold at every instant and after every recovery, as assertions."""

from __future__ import annotations

from engineshed_client.install.trees import find_tree, list_previous
from engineshed_client.reports.log_line import BEGIN, END, LogLine
from engineshed_packages.protocol import Outcome
from tests.client.host import CUSTOMER_CONF, Host

GOOD_OUTCOMES = (Outcome.OK, Outcome.ABORTED, Outcome.ROLLED_BACK)


def whole_versions(host: Host) -> set[str]:
    """The versions that lie somewhere on disk, complete and clean."""
    places = [host.paths.engine, host.paths.staged, host.paths.failed, *list_previous(host.paths)]
    trees = [find_tree(place) for place in places]
    return {tree.manifest.version.text for tree in trees if tree is not None and tree.is_whole()}


def check_instant(host: Host, version: str | None, *, exchange: bool) -> None:
    """1: at every instant one complete engine is on disk; with EXCHANGE ``engine/`` is never absent."""
    if version is None:
        return
    assert version in whole_versions(host)
    if exchange:
        assert host.paths.engine.is_dir()


def check_customer(host: Host) -> None:
    """3: what is the customer's is what it was: content and mode; nothing unlisted is lost."""
    engine = host.paths.engine
    assert (engine / "conf/engine.toml").read_bytes() == CUSTOMER_CONF
    assert (engine / "conf/engine.toml").stat().st_mode & 0o777 == 0o600
    assert (engine / "conf/secret.key").read_bytes() == b"the customer's key\n"
    assert (engine / "conf/link").readlink().as_posix() == "../own/script.sh"
    assert (engine / "data/state.json").read_bytes() == b'{"count": 7}\n'
    assert (engine / "own/script.sh").stat().st_mode & 0o777 == 0o750
    assert (engine / "own/empty").is_dir()


def check_log(host: Host) -> None:
    """6: BEGIN and END in pairs; no torn line, no NULs."""
    text = host.log_text()
    assert "\0" not in text
    assert text == "" or text.endswith("\n")
    lines = [LogLine.parse(line) for line in text.splitlines()]
    assert None not in lines
    events = [(line.attempt, line.event) for line in lines if line is not None]
    for attempt in {attempt for attempt, _ in events}:
        assert events.count((attempt, BEGIN)) == 1
        assert events.count((attempt, END)) == 1


def check_nothing_grows(host: Host) -> None:
    """9: no staged engine, no download, no temporary file, no journal; not more engines than are kept."""
    work = host.paths.work
    assert not host.paths.staged.exists()
    assert not host.paths.journal.exists()
    assert list(host.paths.download.glob("*")) == []
    assert [path for path in work.rglob("*.tmp") if "staged" not in path.parts] == []
    assert len(list_previous(host.paths)) <= max(1, host.settings.keep_previous)


def check_settled(host: Host, *, begun: str | None, wanted: str, was_running: bool, reports: int) -> None:
    """2, 4, 5 and the above, after an attempt from *begun* to *wanted* was recovered and ended.

    Args:
        reports: how many reports there were before the attempt.
    """
    check_log(host)
    check_nothing_grows(host)
    assert host.version in (begun, wanted)
    if host.version is not None:
        tree = find_tree(host.paths.engine)
        assert tree is not None
        assert tree.problems() == ()
        assert tree.manifest.version.text == host.version
    made = host.reports()[reports:]
    assert len(made) <= 1
    for report in made:
        assert report.outcome in GOOD_OUTCOMES
        assert (None if report.version is None else report.version.text) == host.version
        assert (report.outcome is Outcome.OK) == (host.version == wanted)
    if not was_running:
        assert host.processes.running is None
    elif host.version is not None:
        assert host.processes.running == host.version
