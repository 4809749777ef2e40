"""The documents name everything a user can meet: settings, states, codes, routes, commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engineshed_client import steps as steps_module
from engineshed_client.journal import State
from engineshed_client.settings.keys import KEYS
from engineshed_packages import exits
from engineshed_packages import orders as orders_module
from engineshed_server.domain import decide, orders, stops
from engineshed_server.services import fleet, ingest, reports
from engineshed_server.settings import FIELDS
from tests.sent_codes import NOT_SENT, sent_by_format, sent_by_server

ROOT = Path(__file__).parent.parent


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [field.name for field in FIELDS])
def test_every_setting_of_the_server_is_documented(name: str) -> None:
    assert f"`{name}`" in text_of("docs/configuration.md")


@pytest.mark.parametrize("name", sorted(KEYS))
def test_every_setting_of_the_updater_is_documented(name: str) -> None:
    assert f"`{name}`" in text_of("docs/configuration.md")


def test_no_setting_is_documented_that_does_not_exist() -> None:
    known = {field.name for field in FIELDS} | set(KEYS)
    rows = re.findall(r"^\| (`.*?) \|", text_of("docs/configuration.md"), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-z_.]+)`", row)}
    assert named - known == set()


@pytest.mark.parametrize("state", [state.value for state in State if state is not State.UNKNOWN])
def test_every_state_is_documented(state: str) -> None:
    assert f"| {state} |" in text_of("docs/states.md")


def test_every_code_by_which_an_order_is_refused_is_documented() -> None:
    sources = [
        *Path(orders_module.__file__).parent.glob("*.py"),
        *Path(steps_module.__file__).parent.glob("*.py"),
    ]
    codes = {code for path in sources for code in re.findall(r'"(order-[a-z-]+)"', path.read_text("utf-8"))}
    assert len(codes) > 10
    assert {code for code in codes if f"`{code}`" not in text_of("docs/protocol.md")} == set()


def told_in_documents() -> set[str]:
    """``<status> <code>`` of every table of errors in the documents: a status counts until the next."""
    told: set[str] = set()
    all_of_them = "".join(map(text_of, ("docs/protocol.md", "docs/api.md", "docs/pages.md")))
    for row in re.findall(r"^\| (\d{3} `.*?) \|", all_of_them, re.MULTILINE):
        status = ""
        for number, code in re.findall(r"(\d{3})|`([a-z0-9-]+)`", row):
            status = number or status
            told |= {f"{status} {code}"} if code else set()
    return told


def test_every_code_the_portal_sends_is_documented_with_its_status() -> None:
    assert sent_by_server() - told_in_documents() - set(NOT_SENT) == set()


def test_every_code_with_which_the_portal_refuses_what_it_reads_is_documented() -> None:
    codes = {entry.partition(" ")[2] for entry in told_in_documents()}
    assert set(sent_by_format()) - codes - set(NOT_SENT) == set()


def test_no_code_and_no_status_is_documented_that_the_portal_does_not_send() -> None:
    of_format = {f"{status} {code}" for code, found in sent_by_format().items() for status in found}
    assert told_in_documents() - sent_by_server() - of_format == set()


@pytest.mark.parametrize(
    "code",
    [
        *(decide.OFFER, decide.UP_TO_DATE, decide.NO_RELEASE, decide.NOTHING_FITS, decide.WAITING),
        decide.ENGINE_HELD,
        *(
            stops.EMERGENCY_STOP,
            orders.ORDERED,
            orders.ORDER_WAITS,
            fleet.ORDER_RESTS,
            orders_module.CONFIGURE,
        ),
        *(reports.RECORDED, reports.KNOWN, ingest.PUBLISHED, ingest.UNCHANGED),
    ],
)
def test_every_code_of_an_answer_that_is_no_error_is_documented(code: str) -> None:
    assert f"`{code}`" in text_of("docs/protocol.md")


def test_nothing_is_left_out_of_the_document_that_does_not_exist() -> None:
    assert set(NOT_SENT) - sent_by_server() - set(sent_by_format()) == set()


def test_every_exit_code_has_its_meaning() -> None:
    constants = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    assert constants == set(exits.MEANING)


@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs" / "adr").iterdir()))
def test_every_decision_says_its_status_context_decision_and_consequences(page: str) -> None:
    text = text_of(f"docs/adr/{page}")
    assert re.match(rf"# {int(page[:4])}\. ", text)
    for part in ("Status: ", "**Context.**", "**Decision.**", "**Consequences.**"):
        assert part in text


def test_links_between_documents_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"
