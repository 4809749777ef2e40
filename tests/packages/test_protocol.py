"""What goes over the wire reads back the same, grows without breaking, and is bounded."""

import json
from datetime import UTC, datetime

import pytest

from engineshed_packages.errors import ProtocolRefused, Refused
from engineshed_packages.ids import new_id
from engineshed_packages.protocol import (
    Attributes,
    Health,
    Outcome,
    Poll,
    PollAnswer,
    Report,
    Skipped,
    Step,
)
from engineshed_packages.versions import Version

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def a_poll() -> Poll:
    return Poll(
        engine=new_id("eng"),
        product="sample-engine",
        platform="linux-x86_64",
        version=Version.parse("1.0.0"),
        state="IDLE",
        boot="0123456789abcdef",
        clock=NOW,
        updater_version="0.1.0",
        health=Health.GOOD,
        measured_version="1.0.0",
        attempt=new_id("att"),
        seq=3,
        root_version=1,
        timestamp_version=9,
        trusted_clock=NOW,
        skipped=(Skipped(version=Version.parse("1.1.0"), sha256="ab" * 32),),
        capabilities=("install",),
        attributes=Attributes(host_name="h", os="Linux", arch="x86_64", free_disk_bytes=5, tags={"a": "b"}),
    )


def a_report() -> Report:
    return Report(
        attempt=new_id("att"),
        engine=new_id("eng"),
        product="sample-engine",
        outcome=Outcome.ROLLED_BACK,
        code="probe-failed",
        message="the new engine never became healthy",
        from_version=Version.parse("1.0.0"),
        to_version=Version.parse("1.1.0"),
        version=Version.parse("1.0.0"),
        measured_version="1.0.0",
        started=NOW,
        ended=NOW,
        updater_version="0.1.0",
        probed=True,
        order=new_id("ord"),
        seq=3,
        sha256="ab" * 32,
        steps=(Step(state="PROBING", at=NOW),),
        update_log=("one", "two"),
        engine_log=("boom",),
    )


def test_a_poll_reads_back_the_same() -> None:
    poll = a_poll()
    assert Poll.from_bytes(poll.to_bytes()) == poll


def test_a_report_reads_back_the_same() -> None:
    report = a_report()
    assert Report.from_bytes(report.to_bytes()) == report


def test_an_answer_reads_back_the_same() -> None:
    answer = PollAnswer(
        server_time=NOW,
        code="offer",
        text="1.1.0 is newer",
        poll_s=60,
        timestamp_version=4,
        order={"payload": "x"},
    )
    assert PollAnswer.from_bytes(answer.to_bytes()) == answer


def test_fields_of_a_later_version_are_ignored() -> None:
    values = json.loads(a_poll().to_bytes())
    values["from_the_future"] = {"deep": [1, 2]}
    values["protocol"] = 7
    assert Poll.from_bytes(json.dumps(values).encode()).protocol == 7


def test_an_unknown_kind_of_health_is_unknown_health() -> None:
    values = {**json.loads(a_poll().to_bytes()), "health": "radiant"}
    assert Poll.from_bytes(json.dumps(values).encode()).health is Health.UNKNOWN


def test_a_poll_of_an_empty_base_has_no_version() -> None:
    values = json.loads(a_poll().to_bytes())
    del values["version"]
    assert Poll.from_bytes(json.dumps(values).encode()).version is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("engine", "eng_../../etc"),
        ("product", "../x"),
        ("platform", "amiga"),
        ("version", "one"),
        ("state", "x" * 33),
        ("seq", -1),
        ("clock", "yesterday"),
        ("boot", ""),
        ("attempt", "att_short"),
        ("skipped", [{"version": "1", "sha256": "AB"}]),
        ("attributes", {"tags": {f"t{n}": "x" for n in range(40)}}),
        ("attributes", "text"),
    ],
)
def test_a_field_that_cannot_be_read_is_refused(name: str, value: object) -> None:
    values = {**json.loads(a_poll().to_bytes()), name: value}
    with pytest.raises(Refused):
        Poll.from_bytes(json.dumps(values).encode())


def test_terminal_sequences_in_what_an_engine_sends_are_written_out() -> None:
    values = json.loads(a_report().to_bytes())
    values["engine_log"] = ["\x1b[2J red"]
    assert Report.from_bytes(json.dumps(values).encode()).engine_log == ("\\x1b[2J red",)


def test_a_report_with_too_many_lines_is_refused() -> None:
    values = {**json.loads(a_report().to_bytes()), "engine_log": ["x"] * 201}
    with pytest.raises(ProtocolRefused, match="engine_log"):
        Report.from_bytes(json.dumps(values).encode())


def test_an_unknown_outcome_is_refused_by_name() -> None:
    values = {**json.loads(a_report().to_bytes()), "outcome": "FINE"}
    with pytest.raises(ProtocolRefused, match="OK or ABORTED or ROLLED_BACK or BROKEN"):
        Report.from_bytes(json.dumps(values).encode())


def test_the_body_of_a_poll_without_news_stays_under_500_bytes() -> None:
    poll = a_poll()
    small = Poll(
        engine=poll.engine,
        product=poll.product,
        platform=poll.platform,
        version=poll.version,
        state="IDLE",
        boot=poll.boot,
        clock=NOW,
        updater_version="0.1.0",
        health=Health.GOOD,
        measured_version="1.0.0",
        seq=12345,
        root_version=3,
        timestamp_version=1000,
        trusted_clock=NOW,
    )
    assert len(small.to_bytes()) < 500
