"""Whatever somebody else wrote is text on every page: walked over all pages there are, and all their forms.

A page that is added is walked by itself; when its address names something new, ``hostile.sow`` has to say
what that is.
"""

import inspect
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import urlencode

import pytest
from flask import Flask

from engineshed_server.api.openapi import add_converters
from engineshed_server.app import create_app
from engineshed_server.domain.roles import Role
from engineshed_server.services import logins
from engineshed_server.services.logins import Visitor
from engineshed_server.web.views import TOPICS
from tests.server.databases.sqlite import lay_database
from tests.server.portals import make_portal
from tests.server.web import hostile
from tests.server.web.conftest import LOGIN, PASSWORD, Browser, Site, now
from tests.server.web.hostile import attempt, check_harmless, sow, told

# What is stored and stands on no page; what is shown must not be here.
SHOWN_NOWHERE = {"java", "tag"}


def addresses() -> list[str]:
    """The rules of all pages that are looked at."""
    app = Flask(__name__)
    add_converters(app.url_map)
    for topic in TOPICS:
        app.register_blueprint(topic.blueprint)
    return sorted(
        rule.rule
        for rule in app.url_map.iter_rules()
        if rule.endpoint != "static" and "GET" in (rule.methods or ())
    )


class Sown(Site):
    """A portal full of attempts, and what its pages' addresses name."""

    places: dict[str, str]

    def again(self) -> Browser:
        """A browser in which the owner is logged in once more."""
        browser = self.visit()
        begun = logins.log_in(
            self.portal, name="owner", password=PASSWORD, visitor=Visitor(address="192.0.2.1"), now=now()
        )
        browser.http.set_cookie(LOGIN, begun.secret)
        return browser

    def path(self, rule: str) -> str:
        """An address that *rule* matches, of something that exists."""
        unknown = set(re.findall(r"<\w+:(\w+)>", rule)) - set(self.places)
        assert unknown == set(), f"tell tests/server/web/hostile.py what {unknown} of {rule} may be"
        return re.sub(r"<\w+:(\w+)>", lambda found: self.places[found[1]], rule)

    def look(self, browser: Browser, rule: str, query: str = "") -> str:
        """The page; "" for what is none, as a file to be downloaded."""
        here = self.visit() if rule in ("/login", "/first-owner") else browser
        answer = here.get(f"{self.path(rule)}{query}")
        assert answer.status_code < 500, answer.text
        return answer.text if answer.mimetype == "text/html" else ""


@pytest.fixture(scope="module")
def sown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sown]:
    folder = tmp_path_factory.mktemp("sown")
    lay_database(folder / "data")
    house = make_portal(folder, portal__name=attempt("portal_name"))
    site = Sown(house, create_app(house.portal))
    site.log_in(Role.OWNER)
    site.places = sow(site)
    yield site
    house.close()


@pytest.fixture(scope="module")
def owner(sown: Sown) -> Browser:
    return sown.again()


@pytest.mark.parametrize("page", ["<p>{}</p>", '<p title="{}">', "<p title='{}'>", "<p title={}>"])
def test_an_attempt_that_works_is_found(page: str) -> None:
    with pytest.raises(AssertionError):
        check_harmless(page.format(attempt("x")))
    with pytest.raises(AssertionError):
        check_harmless("<p title=x onclick=y>")


@pytest.mark.parametrize("rule", addresses())
def test_on_every_page_it_is_text(sown: Sown, owner: Browser, rule: str) -> None:
    check_harmless(sown.look(owner, rule))


@pytest.mark.parametrize("rule", addresses())
def test_what_stands_in_an_address_is_text_too(sown: Sown, owner: Browser, rule: str) -> None:
    page = sown.look(owner, rule)
    filters = {name for form in forms_of(page) if form.method == "get" for name in form.fields}
    for name in {*filters, "after", "page", "next"}:
        check_harmless(sown.look(owner, rule, "?" + urlencode({name: attempt("query")})))


def test_each_of_them_stands_on_some_page_or_is_known_to_stand_on_none(sown: Sown, owner: Browser) -> None:
    written = set(re.findall(r'attempt\("(\w+)"\)', inspect.getsource(hostile))) | {"portal_name"}
    assert len(written) > 25
    pages = [sown.look(owner, rule) for rule in addresses()]
    pages.append(anna(sown).get("/account").text)
    seen = {field for page in pages for field in told(page)}
    assert written - seen == SHOWN_NOWHERE


def anna(sown: Sown) -> Browser:
    browser = sown.visit()
    fields = {"name": "anna", "password": PASSWORD, "csrf_token": browser.token("/login")}
    browser.http.post("/login", data=fields, headers={"User-Agent": attempt("user_agent")})
    return browser


class Form:
    """A form on a page."""

    def __init__(self, attributes: dict[str, str]) -> None:
        self.method = attributes.get("method", "get").lower()
        self.action = attributes.get("action", "")
        self.fields: dict[str, str] = {}


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self._open = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        if tag == "form":
            self.found.append(Form(values))
            self._open = True
        elif self._open and tag in ("input", "select", "textarea", "button") and "name" in values:
            self.found[-1].fields[values["name"]] = values.get("value", "")
            if "formaction" in values:
                self.found[-1].action = values["formaction"]

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag != "form"


def forms_of(page: str) -> list[Form]:
    """The forms of *page* with what stands in their fields."""
    reader = _Forms()
    reader.feed(page)
    return reader.found


def test_what_is_typed_into_any_form_is_text_in_what_comes_of_it(sown: Sown) -> None:
    browser = sown.again()
    forms = [form for rule in addresses() for form in forms_of(sown.look(browser, rule))]
    sent = {form.action: form for form in forms if form.method == "post" and form.action != "/logout"}
    assert len(sent) > 15
    for action, form in sent.items():
        for name in set(form.fields) - {"csrf_token"}:
            if browser.get("/account").status_code != 200:
                browser = sown.again()  # one of the forms has ended the session
            typed = {**form.fields, name: attempt("typed"), "csrf_token": browser.token()}
            answer = browser.http.post(action, data=typed, follow_redirects=True)
            assert answer.status_code < 500, (action, name)
            check_harmless(answer.text)
