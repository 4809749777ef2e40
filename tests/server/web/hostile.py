"""A portal in which everything that others may write is an attempt to be more than text.

places = sow(site)         the portal is filled; what the pages' addresses name
check_harmless(page)       fails when one of the attempts worked
told(page)                 the fields whose attempt stands there as the text it is
"""

import base64
import json
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

from engineshed_packages.protocol import Attributes, Outcome, Step
from engineshed_packages.repository.releases import ReleaseTerms
from engineshed_server.db.audit import add_audit
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.revisions import ANY_REVISION
from engineshed_server.domain.roles import Role
from engineshed_server.services import enrolment, fleet, logins
from engineshed_server.services.api_tokens import Scope, create_api_token
from engineshed_server.services.engine_edits import EngineChange, change_engine
from engineshed_server.services.enrol_tokens import EnrolTerms, create_enrol_token
from engineshed_server.services.holds import HoldChange, change_hold
from engineshed_server.services.logins import Visitor
from engineshed_server.services.ordering import Ask, give_order
from engineshed_server.services.reports import record_report
from engineshed_server.services.stops import turn_on
from engineshed_server.services.uploads.ingesting import ingest_next
from tests.server.portals import ACTOR, enrol_request, poll_of, report_of
from tests.server.web.conftest import PASSWORD, Site, now
from tests.server.web.test_uploads import append, ask
from tests.vendor import PRODUCT

_ATTEMPT = re.compile(r"""<xss onerror=([a-z_]+) a='"><img src=x>""")


def attempt(field: str) -> str:
    """A text that would leave an attribute of either quotes and bring two elements, if it were let."""
    return f"""<xss onerror={field} a='"><img src=x>"""


class _Reader(HTMLParser):
    """Reads a page as browsers do: what is an element there, and which attributes it has."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        names = {name for name, _ in attributes}
        if tag == "xss" or ("src", "x") in attributes or any(name.startswith("on") for name in names):
            self.wrong.append(self.get_starttag_text() or tag)


def check_harmless(page: str) -> None:
    """Fails with the elements of *page* that an attempt has made, or has changed."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader.wrong == []
    assert "<xss" not in page


def told(page: str) -> set[str]:
    """The fields whose attempts stand in *page* as text."""
    return set(_ATTEMPT.findall(unescape(page)))


def sow(site: Site) -> dict[str, str]:
    """Fill the portal; the values of the names that stand in the pages' addresses."""
    engine = _engine(site)
    _vendor(site)
    upload = _upload(site)
    token_id = _tokens(site)
    _changes(site)
    site.add_user("anna")
    begun = logins.log_in(
        site.portal,
        name="anna",
        password=PASSWORD,
        visitor=Visitor(address="192.0.2.1", user_agent=attempt("user_agent")),
        now=now(),
    )
    return {
        "engine_id": engine,
        "product": PRODUCT,
        "version": "1.0.0",
        "upload_id": upload,
        "token_id": token_id,
        "user": "anna",
        "session_id": begun.signed_in.session_id,
        "name": "nothing",
    }


def _engine(site: Site) -> str:
    house, portal = site.house, site.portal
    request = enrol_request(house.token())
    joined = enrolment.enrol(
        portal, replace(request, host_name=attempt("host_name")), address="192.0.2.1", now=house.now
    )
    waiting = enrol_request(house.token(needs_approval=True))
    enrolment.enrol(
        portal, replace(waiting, host_name=attempt("waiting_host")), address="192.0.2.1", now=house.now
    )
    told = Attributes(
        host_name=attempt("host_name"),
        os=attempt("os"),
        arch=attempt("arch"),
        java=attempt("java"),
        tags={"tag": attempt("tag")},
    )
    poll = poll_of(joined.engine, now=house.now, attributes=told, updater_version=attempt("updater_version"))
    fleet.answer(portal, joined.engine, poll=poll, now=house.now)
    portal.presence.flush(portal.database)
    report = report_of(
        joined.engine,
        now=house.now,
        outcome=Outcome.ROLLED_BACK,
        code="probe-failed",
        message=attempt("report_message"),
        steps=(Step(state="PROBING", at=house.now),),
        update_log=(attempt("update_log"),),
        engine_log=(attempt("engine_log"),),
    )
    record_report(portal, joined.engine, report=report, now=house.now)
    change = EngineChange(notes=attempt("notes"), hold_reason=attempt("engine_hold"))
    change_engine(portal, joined.engine, change=change, expected=ANY_REVISION, actor=ACTOR, now=house.now)
    ask = Ask(do="restart", message=attempt("order_message"))
    give_order(portal, joined.engine, ask, actor=ACTOR, now=house.now)
    return joined.engine


def _vendor(site: Site) -> None:
    house, portal = site.house, site.portal
    notes = house.vendor.folder / "hostile.json"
    said = {"en": {"message": attempt("notes_message"), "notes": attempt("release_notes")}}
    notes.write_text(json.dumps({"format": 1, "languages": said}), "utf-8")
    house.vendor.release("1.0.0", terms=ReleaseTerms(notes=notes, message=attempt("release_message")))
    house.ingest("1.0.0")
    change = HoldChange(held=True, reason=attempt("release_hold"))
    change_hold(portal, PRODUCT, version="1.0.0", change=change, actor=ACTOR, now=house.now)
    turn_on(portal, product=None, channel=None, reason=attempt("stop_reason"), actor=ACTOR, now=house.now)


def _upload(site: Site) -> str:
    admin = site.log_in(Role.ADMIN, name="uploader")
    name = base64.b64encode(attempt("file_name").encode()).decode("ascii")
    begun = ask(admin, "POST", "/web/uploads", Upload_Length="4", Upload_Metadata=f"filename {name}")
    path = begun.headers["Location"]
    append(admin, path, b"zip?", offset=0)
    assert ingest_next(site.portal, now=now())
    return str(path).rpartition("/")[2]


def _tokens(site: Site) -> str:
    create_api_token(
        site.portal, name=attempt("api_token"), scope=Scope.VIEWER, actor=ACTOR, now=site.house.now
    )
    terms = EnrolTerms(name=attempt("enrol_token"))
    return create_enrol_token(site.portal, terms, actor=ACTOR, now=site.house.now).token.token_id


def _changes(site: Site) -> None:
    with site.portal.database.write() as session:
        add_audit(
            session,
            attempt("action"),
            subject=attempt("subject"),
            actor=Actor(attempt("actor"), address=attempt("address")),
            now=site.house.now,
            details={attempt("detail_name"): attempt("detail")},
            before={attempt("value_name"): attempt("before")},
            after={attempt("value_name"): attempt("after")},
        )
