"""Uploads of a page: tus with a login instead of a token."""

import base64

from werkzeug.test import TestResponse

from engineshed_server.db import audit
from engineshed_server.domain.roles import Role
from engineshed_server.domain.uploads import Uploader
from engineshed_server.services.uploads import owning
from engineshed_server.services.uploads.ingesting import ingest_next
from tests.server.web.conftest import Browser, Site, now

PIECE = "application/offset+octet-stream"


def ask(browser: Browser, method: str, path: str, *, data: bytes = b"", **headers: str) -> TestResponse:
    """Asks as tus-js-client does in a page."""
    named = {"Tus-Resumable": "1.0.0", "X-CSRFToken": browser.token()}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    return browser.http.open(path, method=method, data=data, headers=named)


def begin(browser: Browser, length_bytes: int) -> str:
    name = base64.b64encode(b"bundle.zip").decode("ascii")
    answer = ask(
        browser, "POST", "/web/uploads", Upload_Length=str(length_bytes), Upload_Metadata=f"filename {name}"
    )
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"]


def append(browser: Browser, path: str, data: bytes, *, offset: int) -> TestResponse:
    return ask(browser, "PATCH", path, data=data, Content_Type=PIECE, Upload_Offset=str(offset))


def test_an_admin_uploads_a_bundle_in_pieces_and_it_is_published(site: Site) -> None:
    admin = site.log_in(Role.ADMIN)
    site.house.vendor.release("1.0.0")
    bundle = site.house.vendor.bundle("1.0.0").read_bytes()
    path = begin(admin, len(bundle))
    assert append(admin, path, bundle[:1000], offset=0).headers["Upload-Offset"] == "1000"
    assert ask(admin, "HEAD", path).headers["Upload-Offset"] == "1000"
    assert append(admin, path, bundle[1000:], offset=1000).status_code == 204
    assert ingest_next(site.portal, now=now())
    shown = owning.show_upload(
        site.portal, path.rpartition("/")[2], asking=Uploader(user_name="admin"), now=now()
    )
    assert shown.state == "done"


def test_who_uploaded_stands_in_the_audit(site: Site) -> None:
    admin = site.log_in(Role.ADMIN)
    path = begin(admin, 10)
    append(admin, path, b"no bundle!", offset=0)
    ingest_next(site.portal, now=now())
    with site.portal.database.read() as session:
        found = {one.action: one.actor for one in audit.list_audit(session)}
    assert found["upload-created"].name == found["upload-refused"].name == "user:admin"
    assert found["upload-refused"].address == "127.0.0.1"


def test_another_admin_goes_on_with_it_and_ends_it(site: Site) -> None:
    path = begin(site.log_in(Role.ADMIN), 10)
    other = site.log_in(Role.ADMIN, name="other")
    assert append(other, path, b"12345", offset=0).status_code == 204
    assert ask(other, "DELETE", path).status_code == 204


def test_what_a_script_is_refused_it_is_told_in_json(site: Site) -> None:
    answer = site.visit().http.post("/web/uploads")
    assert (answer.status_code, answer.mimetype) == (401, "application/problem+json")
    assert "WWW-Authenticate" not in answer.headers  # or the browser asks for a password by itself


def test_without_the_token_of_a_form_not_a_byte_is_taken(site: Site) -> None:
    admin = site.log_in(Role.ADMIN)
    path = begin(admin, 10)
    answer = append(admin, path, b"12345", offset=0)
    assert answer.status_code == 204
    refused = ask(admin, "PATCH", path, data=b"67890", Content_Type=PIECE, Upload_Offset="5", X_CSRFToken="x")
    assert refused.status_code == 400
    assert ask(admin, "HEAD", path).headers["Upload-Offset"] == "5"


def test_the_login_opens_no_upload_below_the_api(site: Site) -> None:
    admin = site.log_in(Role.ADMIN)
    path = begin(admin, 10).replace("/web/", "/api/v1/")
    assert ask(admin, "HEAD", path).status_code == 401


def test_one_user_has_so_many_open_at_once_and_no_more(site: Site) -> None:
    admin = site.log_in(Role.ADMIN)
    for _ in range(site.portal.settings.open_uploads_per_token):
        begin(admin, 10)
    assert ask(admin, "POST", "/web/uploads", Upload_Length="10").status_code == 429
    assert begin(site.log_in(Role.ADMIN, name="other"), 10)
