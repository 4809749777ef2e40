"""Every form that changes something leaves a row in the audit: who, when, from where, by which request.

Each unsafe route of the pages is either sent here, or stands among those that change nothing. One that is
added and forgotten here fails.
"""

from collections.abc import Callable

import pytest
from werkzeug.test import TestResponse

from engineshed_server.db import audit
from engineshed_server.db.audit import AuditRecord
from engineshed_server.domain.roles import Role
from engineshed_server.services import enrol_tokens, logins
from engineshed_server.services.api_tokens import Scope, create_api_token
from engineshed_server.services.logins import Visitor
from engineshed_server.services.owner_links import create_owner_link
from tests.server.portals import ACTOR
from tests.server.web.conftest import PASSWORD, Browser, Site, now
from tests.server.web.test_access import SAFE, pages_of
from tests.server.web.test_uploads import append, ask, begin
from tests.vendor import PRODUCT

NO_CHANGES = {
    "web.theme.choose_theme": "is kept in the browser",
    "web.uploads.append": "is bytes, until they are a bundle",
}


class Owner:
    """An owner at a browser, and another user."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.browser: Browser = site.log_in(Role.OWNER)
        site.add_user("anna")

    def send(self, path: str, **fields: str) -> TestResponse:
        return self.browser.post(path, **fields)

    def send_engine(self, what: str, /, **fields: str) -> TestResponse:
        """A form of a new engine's page."""
        engine = self.site.house.enrol(needs_approval=what in ("approve", "reject")).engine
        return self.send(f"/engines/{engine}/{what}", **fields)


def log_in(owner: Owner) -> TestResponse:
    owner.browser.post("/logout")
    return owner.browser.post("/login", page="/login", name="owner", password=PASSWORD)


def redeem(owner: Owner) -> TestResponse:
    code = create_owner_link(owner.site.portal, actor=ACTOR, now=now()).address.partition("#")[2]
    fields = {"code": code, "name": "owner2", "password": PASSWORD, "again": PASSWORD}
    return owner.browser.post("/first-owner", page="/first-owner", **fields)


def revoke_other(owner: Owner) -> TestResponse:
    other = logins.log_in(
        owner.site.portal, name="owner", password=PASSWORD, visitor=Visitor(address="192.0.2.2"), now=now()
    )
    return owner.send(f"/account/sessions/{other.signed_in.session_id}/revoke")


def enable(owner: Owner) -> TestResponse:
    owner.send("/users/anna/disable")
    return owner.send("/users/anna/enable")


def revoke_enrol_token(owner: Owner) -> TestResponse:
    owner.site.house.token()
    (token,) = enrol_tokens.newest_enrol_tokens(owner.site.portal, now=now(), limit=1).tokens
    return owner.send(f"/enrolment/tokens/{token.token_id}/revoke")


def revoke_api_token(owner: Owner) -> TestResponse:
    made = create_api_token(owner.site.portal, name="x", scope=Scope.VIEWER, actor=ACTOR, now=now())
    return owner.send(f"/tokens/{made.token_id}/revoke")


def decide(owner: Owner, verdict: str) -> TestResponse:
    waiting = owner.site.house.enrol(needs_approval=True)
    return owner.send(f"/enrolment/{verdict}", engine=waiting.engine)


def hold(owner: Owner, then: str) -> TestResponse:
    owner.site.house.publish("1.0.0")
    release = f"/update-packages/releases/{PRODUCT}/1.0.0"
    answer = owner.send(f"{release}/hold", reason="trying it first")
    return answer if then == "hold" else owner.send(f"{release}/{then}", reason="it is good")


def remove_upload(owner: Owner) -> TestResponse:
    upload_id = begin(owner.browser, 10).rpartition("/")[2]
    return owner.send(f"/update-packages/uploads/{upload_id}/remove")


def unhold(owner: Owner) -> TestResponse:
    held = owner.send_engine("hold", reason="why")
    return owner.send(f"{held.headers['Location']}/unhold")


def move(owner: Owner, path: str, to: str) -> TestResponse:
    owner.site.house.enrol()
    return owner.send(path, to=to)


def forget_group(owner: Owner) -> TestResponse:
    owner.send("/groups", group="north")
    return owner.send("/groups/north/forget")


def forget_channel(owner: Owner) -> TestResponse:
    owner.send("/channels", channel="beta")
    return owner.send("/channels/beta/forget")


OTHER = "other four words in a row"
# What makes each change, and the action that the newest row of the audit has then.
CHANGES: dict[str, tuple[str, Callable[[Owner], TestResponse]]] = {
    "web.login.log_in": ("login", log_in),
    "web.login.make_first_owner": ("login", redeem),
    "web.login.log_out": ("logout", lambda owner: owner.send("/logout")),
    "web.account.change_password": (
        "user-password-changed",
        lambda owner: owner.send("/account/password", current=PASSWORD, password=OTHER, again=OTHER),
    ),
    "web.account.revoke_session": ("session-revoked", revoke_other),
    "web.users.create_user": (
        "user-created",
        lambda owner: owner.send("/users", name="bert", role="viewer", password=PASSWORD),
    ),
    "web.users.change_role": (
        "user-role-changed",
        lambda owner: owner.send("/users/anna/role", role="admin"),
    ),
    "web.users.set_password": (
        "user-password-changed",
        lambda owner: owner.send("/users/anna/password", password=OTHER),
    ),
    "web.users.disable_user": ("user-disabled", lambda owner: owner.send("/users/anna/disable")),
    "web.users.enable_user": ("user-enabled", enable),
    "web.enrolment.create_token": (
        "enrol-token-created",
        lambda owner: owner.send("/enrolment/tokens", group="default", uses="1", days="1"),
    ),
    "web.enrolment.revoke_token": ("enrol-token-revoked", revoke_enrol_token),
    "web.enrolment.approve": ("engine-approved", lambda owner: decide(owner, "approve")),
    "web.enrolment.reject": ("engine-rejected", lambda owner: decide(owner, "reject")),
    "web.api_tokens.create_token": (
        "api-token-created",
        lambda owner: owner.send("/tokens", name="nagios", scope="viewer", days="90"),
    ),
    "web.api_tokens.revoke_token": ("api-token-revoked", revoke_api_token),
    "web.update_packages.hold_release": ("release-held", lambda owner: hold(owner, "hold")),
    "web.update_packages.unhold_release": ("release-let-go", lambda owner: hold(owner, "unhold")),
    "web.update_packages.remove_upload": ("upload-terminated", remove_upload),
    "web.engines.approve_engine": ("engine-approved", lambda owner: owner.send_engine("approve")),
    "web.engines.reject_engine": ("engine-rejected", lambda owner: owner.send_engine("reject")),
    "web.engines.revoke_engine": ("engine-revoked", lambda owner: owner.send_engine("revoke")),
    "web.engines.hold_engine": ("engine-changed", lambda owner: owner.send_engine("hold", reason="why")),
    "web.engines.unhold_engine": ("engine-changed", unhold),
    "web.engines.place_engine": ("engine-changed", lambda owner: owner.send_engine("place", group="north")),
    "web.engines.write_notes": ("engine-changed", lambda owner: owner.send_engine("notes", notes="cellar")),
    "web.engines.give_order": ("order-given", lambda owner: owner.send_engine("orders", do="restart")),
    "web.engines.move_engines": (
        "engine-changed",
        lambda owner: owner.send("/engines/move", group="north", engine=owner.site.house.enrol().engine),
    ),
    "web.groups.create_group": ("group-created", lambda owner: owner.send("/groups", group="north")),
    "web.groups.create_channel": ("channel-created", lambda owner: owner.send("/channels", channel="beta")),
    "web.groups.move_group": ("engine-changed", lambda owner: move(owner, "/groups/default/move", "north")),
    "web.groups.let_group_follow": (
        "engine-changed",
        lambda owner: move(owner, "/groups/default/channel", "beta"),
    ),
    "web.groups.move_channel": (
        "engine-changed",
        lambda owner: move(owner, "/channels/stable/move", "beta"),
    ),
    "web.groups.forget_group": ("group-forgotten", forget_group),
    "web.groups.forget_channel": ("channel-forgotten", forget_channel),
    "web.uploads.create_upload": (
        "upload-created",
        lambda owner: ask(owner.browser, "POST", "/web/uploads", Upload_Length="10"),
    ),
    "web.uploads.terminate": (
        "upload-terminated",
        lambda owner: ask(owner.browser, "DELETE", begin(owner.browser, 10)),
    ),
}


def test_every_form_that_changes_something_is_sent_here(site: Site) -> None:
    unsafe = {endpoint for method, _, endpoint, _ in pages_of(site.app) if method not in SAFE}
    assert unsafe == set(CHANGES) | set(NO_CHANGES)


def newest(site: Site) -> AuditRecord:
    with site.portal.database.read() as session:
        return audit.list_audit(session)[-1]


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_a_change_leaves_who_from_where_and_by_which_request(site: Site, name: str) -> None:
    action, change = CHANGES[name]
    answer = change(Owner(site))
    assert answer.status_code < 400, answer.text
    record = newest(site)
    assert record.action == action
    assert record.actor.name.startswith("user:owner")
    assert (record.actor.address, record.actor.request) == ("127.0.0.1", answer.headers["X-Request-ID"])


def test_bytes_of_an_upload_are_no_change_yet(site: Site) -> None:
    owner = Owner(site)
    path = begin(owner.browser, 10)
    before = newest(site)
    append(owner.browser, path, b"12345", offset=0)
    assert newest(site) == before
