"""`release`, `engine`, `enrol-token`, `token`: what an admin does every day."""

from datetime import timedelta
from pathlib import Path

import pytest

from engineshed_packages import exits
from engineshed_packages.enrolment import EnrolLine
from engineshed_packages.protocol import Outcome
from engineshed_packages.repository.releases import ReleaseTerms
from engineshed_packages.times import parse_time
from tests.server.cli.conftest import Command, join, poll_from, publish, report_from
from tests.vendor import Vendor


def _engine(portal: Command, folder: Path, *, host_name: str = "host-1") -> str:
    return join(folder, portal("enrol-token", "create").out, host_name=host_name)


def test_releases_are_listed_newest_first(portal: Command, vendor: Vendor, tmp_path: Path) -> None:
    publish(tmp_path, vendor, "1.9.0")
    publish(tmp_path, vendor, "1.10.0")
    lines = portal("release", "list").out.splitlines()
    assert [line.split()[1] for line in lines] == ["version", "1.10.0", "1.9.0"]


def test_a_portal_without_releases_lists_none(portal: Command) -> None:
    assert portal("release", "list", "--json").values == {"releases": []}


def test_a_release_is_shown_with_its_digests(portal: Command, vendor: Vendor, tmp_path: Path) -> None:
    publish(tmp_path, vendor, "1.0.0")
    package = portal("release", "show", "sample-engine", "1.0.0", "--json").values["packages"][0]
    shown = portal("release", "show", "sample-engine", "1.0.0").out
    assert [
        value for value in (package["sha256"], package["sha1"], package["path"]) if value not in shown
    ] == []


def test_a_release_is_shown_with_the_languages_of_its_notes(
    portal: Command, vendor: Vendor, tmp_path: Path
) -> None:
    publish(tmp_path, vendor, "1.0.0", terms=ReleaseTerms(notes=vendor.notes(language="pt-BR")))
    line = portal("release", "show", "sample-engine", "1.0.0").out.splitlines()[-1]
    assert line == "sample-engine/1.0.0/sample-engine-1.0.0-notes.json (pt-BR)"


def test_notes_whose_bytes_are_gone_do_not_hide_the_release(
    portal: Command, vendor: Vendor, tmp_path: Path
) -> None:
    publish(tmp_path, vendor, "1.0.0", terms=ReleaseTerms(notes=vendor.notes()))
    notes = portal("release", "show", "sample-engine", "1.0.0", "--json").values["notes"]
    (blob,) = (tmp_path / "data" / "blobs").rglob(notes["sha256"])
    blob.unlink()
    said = portal("release", "show", "sample-engine", "1.0.0")
    assert (said.code, "upload its bundle again" in said.out) == (exits.DONE, True)


def test_an_unknown_release_is_told(portal: Command) -> None:
    said = portal("release", "show", "sample-engine", "9.9.9")
    assert (said.code, said.out) == (exits.FAILED, "")
    assert "release-unknown" in said.err


def test_the_enrolment_line_is_all_that_is_printed(portal: Command) -> None:
    said = portal("enrol-token", "create", "--uses", "3", "--expires", "7d", "--group", "berlin")
    assert EnrolLine.parse(said.out).portal == "http://127.0.0.1:8080"
    assert "For 3 engines of group berlin" in said.err
    assert "For 1 engine of group default" in portal("enrol-token", "create").err


@pytest.mark.parametrize("duration", ["0h", "24", "1w", "-1h", "999999d", "1.5h"])
def test_a_duration_that_makes_no_sense_is_refused(portal: Command, duration: str) -> None:
    assert portal("enrol-token", "create", "--expires", duration).code == exits.USAGE


def test_engines_are_listed(portal: Command, tmp_path: Path) -> None:
    joined = _engine(portal, tmp_path)
    shown = portal("engine", "list").out
    assert joined in shown
    assert "host-1" in shown
    assert [one["engine"] for one in portal("engine", "list", "--json").values["engines"]] == [joined]


def test_a_host_name_cannot_colour_the_terminal(portal: Command, tmp_path: Path) -> None:
    _engine(portal, tmp_path, host_name="evil\x1b[31m")
    assert "\x1b" not in portal("engine", "list").out


def test_an_engine_is_shown(portal: Command, tmp_path: Path) -> None:
    joined = _engine(portal, tmp_path)
    assert joined in portal("engine", "show", joined).out
    values = portal("engine", "show", joined, "--json").values
    assert (values["version"], values["state"], values["attempts"]) == ("1.0.0", "enrolled", [])


def test_it_is_shown_why_an_attempt_failed(portal: Command, tmp_path: Path) -> None:
    joined = _engine(portal, tmp_path)
    report_from(
        tmp_path,
        joined,
        outcome=Outcome.ROLLED_BACK,
        code="probe-failed",
        message="no answer from \x1b[31m127.0.0.1",
        engine_log=("first", "second", "third", "port taken"),
    )
    lines = portal("engine", "show", joined).out.splitlines()
    assert lines[-4:] == [
        "    no answer from \\x1b[31m127.0.0.1",
        "    engine: second",
        "    engine: third",
        "    engine: port taken",
    ]


def test_the_next_answer_is_explained(portal: Command, vendor: Vendor, tmp_path: Path) -> None:
    joined = _engine(portal, tmp_path)
    publish(tmp_path, vendor, "1.1.0")
    said = portal("engine", "explain", joined)
    assert said.out.startswith("offer: ")
    assert portal("engine", "explain", joined, "--json").values["version"] == "1.1.0"


def test_two_hosts_on_one_identity_are_told(portal: Command, tmp_path: Path) -> None:
    joined = _engine(portal, tmp_path)
    assert "TWO HOSTS" not in portal("engine", "list").out
    poll_from(tmp_path, joined, boots="ABAB")
    assert "enrolled, IDLE, TWO HOSTS" in portal("engine", "list").out
    assert "more than one host polls" in portal("engine", "show", joined).err
    assert portal("engine", "show", joined, "--json").values["two_hosts"] is True


def test_an_engine_is_revoked_once_and_again(portal: Command, tmp_path: Path) -> None:
    joined = _engine(portal, tmp_path)
    assert [portal("engine", "revoke", joined).code for _ in range(2)] == [exits.DONE, exits.DONE]
    assert portal("engine", "show", joined, "--json").values["state"] == "revoked"


@pytest.mark.parametrize("verb", ["show", "explain", "revoke"])
def test_an_unknown_engine_is_told(portal: Command, verb: str) -> None:
    said = portal("engine", verb, "eng_x")
    assert said.code == exits.FAILED
    assert "engine-unknown" in said.err


def test_an_api_token_is_made_and_revoked(portal: Command) -> None:
    made = portal("token", "create", "--name", "ci", "--scope", "support", "--json").values
    assert (made["id"][:4], made["scope"]) == ("tok_", "support")
    assert portal("token", "revoke", made["id"]).code == exits.DONE


def test_an_unknown_api_token_is_told(portal: Command) -> None:
    said = portal("token", "revoke", "tok_x")
    assert said.code == exits.FAILED
    assert "api-token-not-found" in said.err


def test_an_api_token_can_be_made_to_end(portal: Command) -> None:
    portal("token", "create", "--name", "ci", "--expires", "90d")
    (listed,) = portal("token", "list", "--json").values["tokens"]
    life = parse_time(listed["expires"]) - parse_time(listed["created"])
    assert (life, listed["used"]) == (timedelta(days=90), None)


@pytest.mark.parametrize("text", ["", "90", "d", "0d", "-1d", "1w", "١d"])
def test_a_life_that_is_no_duration_is_a_usage_error(portal: Command, text: str) -> None:
    said = portal("token", "create", "--expires", text)
    assert said.code == exits.USAGE
    assert "expected a duration" in said.err


def test_api_tokens_are_listed_with_the_ids_that_revoke_takes(portal: Command) -> None:
    made = [portal("token", "create", "--name", name, "--json").values["id"] for name in ("ci", "old")]
    portal("token", "revoke", made[1])
    listed = portal("token", "list", "--json").values["tokens"]
    assert [(one["id"], one["name"], one["scope"]) for one in listed] == [
        (made[0], "ci", "viewer"),
        (made[1], "old", "viewer"),
    ]
    assert [one["revoked"] is None for one in listed] == [True, False]
    assert made[0] in portal("token", "list").out


def test_an_engine_is_put_into_another_group_and_found_there(portal: Command, tmp_path: Path) -> None:
    first, _ = _engine(portal, tmp_path), _engine(portal, tmp_path, host_name="host-2")
    assert portal("engine", "change", first, "--group", "north", "--channel", "beta").code == exits.DONE
    listed = portal("engine", "list", "--group", "north", "--json").values["engines"]
    assert [(one["engine"], one["channel"]) for one in listed] == [(first, "beta")]


def test_a_group_that_is_no_name_is_refused(portal: Command, tmp_path: Path) -> None:
    said = portal("engine", "change", _engine(portal, tmp_path), "--group", "North Pole")
    assert said.code == exits.FAILED
    assert "group-name" in said.err


def test_the_audit_lists_the_newest_changes_first(portal: Command, tmp_path: Path) -> None:
    engine = _engine(portal, tmp_path)
    portal("engine", "change", engine, "--group", "north")
    entries = portal("audit", "list", "--subject", engine, "--json").values["entries"]
    assert [one["action"] for one in entries] == ["engine-changed", "engine-enrolled"]
    assert portal("audit", "list", "--action", "engine-changed", "--last", "1").out.splitlines()[-1] == (
        '    after: {"channel": "stable", "group": "north"}'
    )
