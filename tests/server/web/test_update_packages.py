"""Update packages: what is installed, downloads, releases, notes, holds, and what became of uploads."""

import base64
import hashlib
import io
import json
import zipfile
from pathlib import Path

import pytest

from engineshed_packages.repository.releases import ReleaseChange, ReleaseTerms
from engineshed_server.db import audit
from engineshed_server.db.trust import list_speakers
from engineshed_server.domain.roles import Role
from engineshed_server.services import releases
from engineshed_server.services.uploads.ingesting import ingest_next
from engineshed_server.web.notes import markdown
from engineshed_server.web.views.update_packages import RELEASES_PER_PAGE
from tests.server.statements import counted
from tests.server.web.conftest import Browser, Site, now
from tests.server.web.test_rendering import HOSTILE
from tests.server.web.test_uploads import append, ask, begin
from tests.vendor import PRODUCT

PAGE = "/update-packages"
RELEASE = f"{PAGE}/releases/{PRODUCT}"


def published(site: Site, *versions: str) -> None:
    for version in versions:
        site.house.publish(version)
    site.portal.snapshot.refresh()


def send(site: Site, browser: Browser, data: bytes) -> str:
    """Uploads *data* and lets it be taken in; the path of the page that tells what became of it."""
    path = begin(browser, len(data))
    append(browser, path, data, offset=0)
    assert ingest_next(site.portal, now=now())
    return f"{PAGE}/uploads/{path.rpartition('/')[2]}"


def test_an_empty_portal_says_so_in_the_manuals_words(site: Site) -> None:
    text = site.log_in(Role.VIEWER).get(PAGE).text
    for told in ("No update package installed", "no download site configured", "No release is here"):
        assert told in text


def test_each_file_of_the_newest_release_is_shown_with_both_digests(site: Site) -> None:
    site.house.vendor.release("1.0.0", platforms=("linux-x86_64", "windows-x86_64"))
    site.house.ingest("1.0.0")
    text = site.log_in(Role.VIEWER).get(PAGE).text
    release = releases.show_release(site.portal, PRODUCT, version="1.0.0")
    for told in ("Update package for Linux", "Update package for Windows", "Version.txt"):
        assert told in text
    for package in release.packages:
        assert package.target.sha256 in text
        assert package.sha1 in text
    assert hashlib.sha256(release.version_txt).hexdigest() in text
    assert hashlib.sha1(release.version_txt, usedforsecurity=False).hexdigest() in text


def test_a_withdrawn_release_is_not_the_installed_one_and_one_on_hold_is_marked(site: Site) -> None:
    published(site, "1.0.0", "1.1.0")
    site.house.vendor.change("1.1.0", ReleaseChange(withdrawn=True, message="It loses mail."))
    site.house.ingest("1.1.0")
    admin = site.log_in(Role.ADMIN)
    admin.post(f"{RELEASE}/1.0.0/hold", reason="trying it first")
    text = admin.get(PAGE).text
    assert f'{RELEASE}/1.0.0"><strong>1.0.0</strong>' in text
    assert "on hold" in text
    assert "It loses mail." in text


def test_packages_and_version_txt_are_downloaded_by_who_is_logged_in(site: Site) -> None:
    target = site.house.vendor.release("1.0.0")
    site.house.ingest("1.0.0")
    viewer = site.log_in(Role.VIEWER)
    path = f"{PAGE}/files/{target.download_name}"
    whole = site.house.vendor.package_bytes(target)
    with viewer.get(path) as answer:
        assert answer.data == whole
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{PRODUCT}-1.0.0-any.zip"'
    with viewer.get(path, Range="bytes=0-3") as answer:
        assert answer.data == whole[:4]
    told = viewer.get(f"{RELEASE}/1.0.0/Version.txt")
    assert target.sha256.encode() in told.data
    assert told.headers["Content-Disposition"] == 'attachment; filename="Version.txt"'
    assert site.visit().get(path).status_code == 303


@pytest.mark.parametrize("name", ["nothing", "../portal.toml", f"{PRODUCT}/1.0.0/x.zip", "%2e%2e/x"])
def test_a_name_that_is_no_packages_is_not_found(site: Site, name: str) -> None:
    published(site, "1.0.0")
    assert site.log_in(Role.VIEWER).get(f"{PAGE}/files/{name}").status_code == 404


def test_a_viewer_is_shown_no_upload_and_no_hold(site: Site) -> None:
    published(site, "1.0.0")
    viewer, admin = site.log_in(Role.VIEWER), site.log_in(Role.ADMIN)
    assert "data-upload" in admin.get(PAGE).text
    assert "data-upload" not in viewer.get(PAGE).text
    assert "Hold it back" in admin.get(f"{RELEASE}/1.0.0").text
    assert "Hold it back" not in viewer.get(f"{RELEASE}/1.0.0").text


def test_a_release_is_held_and_let_go_with_reasons_that_the_audit_keeps(site: Site) -> None:
    published(site, "1.0.0")
    admin = site.log_in(Role.ADMIN)
    answer = admin.post(f"{RELEASE}/1.0.0/hold", reason="trying it first")
    assert answer.headers["Location"] == f"{RELEASE}/1.0.0"
    page = admin.get(f"{RELEASE}/1.0.0").text
    assert "no engine is offered it any more" in page
    assert "trying it first" in page
    assert "already" in _followed(admin, f"{RELEASE}/1.0.0/hold", reason="again")
    assert "is offered again" in _followed(admin, f"{RELEASE}/1.0.0/unhold", reason="it is good")
    with site.portal.database.read() as session:
        rows = [(one.action, one.actor.name, one.details) for one in audit.list_audit(session)][-2:]
    assert rows == [
        ("release-held", "user:admin", '{"reason": "trying it first"}'),
        ("release-let-go", "user:admin", '{"reason": "it is good"}'),
    ]


def _followed(browser: Browser, path: str, **fields: str) -> str:
    return browser.get(browser.post(path, **fields).headers["Location"]).text


def test_a_hold_without_a_reason_is_refused_and_says_why(site: Site) -> None:
    published(site, "1.0.0")
    admin = site.log_in(Role.ADMIN)
    answer = admin.post(f"{RELEASE}/1.0.0/hold", reason="  ")
    assert answer.status_code == 422
    assert "expected one line of plain text" in answer.text
    assert not releases.show_release(site.portal, PRODUCT, version="1.0.0").held


def test_releases_come_in_pages_and_a_place_that_is_none_is_told(site: Site) -> None:
    for number in range(RELEASES_PER_PAGE + 1):
        site.house.vendor.release(f"1.{number}.0")
        site.house.ingest(f"1.{number}.0")
    viewer = site.log_in(Role.VIEWER)
    first = viewer.get(PAGE).text
    assert f"{RELEASE}/1.20.0" in first
    assert f"{RELEASE}/1.0.0" not in first
    assert f'{PAGE}?product={PRODUCT}&amp;after=1.1.0" rel="next"' in first
    assert f'{RELEASE}/1.0.0"' in viewer.get(f"{PAGE}?product={PRODUCT}&after=1.1.0").text
    answer = viewer.get(f"{PAGE}?after={'x' * 500}")
    assert answer.status_code == 400
    assert "page-place" in answer.text


def test_the_page_asks_as_often_whatever_is_in_the_tables(site: Site) -> None:
    site.house.vendor.release("1.0.0", terms=ReleaseTerms(notes=site.house.vendor.notes()))
    site.house.ingest("1.0.0")
    admin = site.log_in(Role.ADMIN)
    with counted(site.portal.database) as few:
        assert admin.get(PAGE).status_code == 200
    for version in ("1.1.0", "1.2.0", "1.3.0"):
        terms = ReleaseTerms(notes=site.house.vendor.notes(version))
        site.house.vendor.release(version, platforms=("linux-x86_64", "windows-x86_64"), terms=terms)
        site.house.ingest(version)
        begin(admin, 10)
    with counted(site.portal.database) as many:
        assert "1.3.0" in admin.get(PAGE).text
    assert len(many) == len(few) <= 8, many


def notes_of(folder: Path, markdown_text: str, message: str = "") -> Path:
    path = folder / "notes.json"
    said = {"en": {"message": message, "notes": markdown_text}}
    path.write_text(json.dumps({"format": 1, "languages": said}))
    return path


def test_notes_are_rendered_below_the_headings_of_the_page(site: Site, tmp_path: Path) -> None:
    notes = notes_of(tmp_path, "# What is new\n\n- **Faster**\n", message="Take a backup first.")
    site.house.vendor.release("1.0.0", terms=ReleaseTerms(notes=notes))
    site.house.ingest("1.0.0")
    text = site.log_in(Role.VIEWER).get(f"{RELEASE}/1.0.0").text
    assert "<h3>What is new</h3>" in text
    assert "<strong>Faster</strong>" in text
    assert "Take a backup first." in text


def test_html_in_what_the_vendor_and_admins_wrote_is_text(site: Site, tmp_path: Path) -> None:
    terms = ReleaseTerms(notes=notes_of(tmp_path, HOSTILE, message=HOSTILE), message=HOSTILE)
    site.house.vendor.release("1.0.0", terms=terms)
    site.house.ingest("1.0.0")
    admin = site.log_in(Role.ADMIN)
    admin.post(f"{RELEASE}/1.0.0/hold", reason=HOSTILE)
    for path in (PAGE, f"{RELEASE}/1.0.0"):
        text = admin.get(path).text
        assert "<img src=x" not in text, path
        assert "<script>alert" not in text, path
        assert "&lt;img src=x" in text, path


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (
            "[a](https://vendor.example/x)",
            '<a href="https://vendor.example/x" rel="noopener noreferrer">a</a>',
        ),
        ("[a](javascript:alert(1))", "[a](javascript:alert(1))"),
        ("[a](/logout)", '<a rel="noopener noreferrer">a</a>'),
        ("[a](//elsewhere.example/)", '<a rel="noopener noreferrer">a</a>'),
        ("<b onclick=x>a</b>", "&lt;b onclick=x&gt;a&lt;/b&gt;"),
        ("| a |\n|---|\n| b |", "<td>b</td>"),
    ],
)
def test_markdown_becomes_harmless_html(written: str, shown: str) -> None:
    assert shown in markdown(written)


def test_a_picture_is_a_link_and_loads_nothing() -> None:
    made = markdown("![a map](https://elsewhere.example/map.png)")
    assert "<img" not in made
    assert ">a map</a>" in made


def test_a_verified_upload_tells_signer_version_platforms_and_digests(site: Site) -> None:
    admin = site.log_in(Role.ADMIN)
    target = site.house.vendor.release("1.0.0")
    path = send(site, admin, site.house.vendor.bundle("1.0.0").read_bytes())
    text = admin.get(path).text
    (keyid,) = _keyids(site)
    for told in ("Verified and published.", f"{PRODUCT} 1.0.0", "any", target.sha256, keyid):
        assert told in text
    assert "data-refresh" not in text.partition('<main class="main"')[2]  # it is final
    assert "published" in admin.get(f"{PAGE}/uploads").text
    again = send(site, admin, site.house.vendor.bundle("1.0.0").read_bytes())
    assert "nothing has changed" in admin.get(again).text


def _keyids(site: Site) -> tuple[str, ...]:
    with site.portal.database.read() as session:
        return list_speakers(session)[PRODUCT].keyids


def test_a_refused_upload_tells_the_reason_and_its_code(site: Site) -> None:
    admin = site.log_in(Role.ADMIN)
    path = send(site, admin, b"this is no zip")
    for page in (admin.get(path), admin.get(f"{path}/outcome")):
        assert "Refused:" in page.text
        assert "archive-not-zip" in page.text
        assert "nothing has changed for the engines" in page.text
    assert "refused" in admin.get(PAGE).text


def test_a_file_name_that_is_html_is_shown_as_text(site: Site) -> None:
    admin = site.log_in(Role.ADMIN)
    name = base64.b64encode(HOSTILE.replace("/", "").encode()).decode("ascii")
    created = ask(admin, "POST", "/web/uploads", Upload_Length="10", Upload_Metadata=f"filename {name}")
    for path in (PAGE, f"{PAGE}/uploads/{created.headers['Location'].rpartition('/')[2]}"):
        text = admin.get(path).text
        assert "<img src=x" not in text
        assert "&lt;img src=x" in text


def test_a_name_within_a_bundle_that_is_html_is_shown_as_text(site: Site) -> None:
    admin = site.log_in(Role.ADMIN)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(f"targets/{HOSTILE}\x1b[31m", b"x")
    for path in (send(site, admin, packed.getvalue()), PAGE):
        text = admin.get(path).text
        assert "&lt;" in text, path
        assert "<img src=x" not in text, path
        assert "\x1b" not in text, path


def test_a_release_is_shown_with_as_few_statements_whatever_else_is_here(site: Site) -> None:
    published(site, "1.0.0")
    viewer = site.log_in(Role.VIEWER)
    with counted(site.portal.database) as few:
        assert viewer.get(f"{RELEASE}/1.0.0").status_code == 200
    published(site, "1.1.0", "1.2.0")
    with counted(site.portal.database) as many:
        assert viewer.get(f"{RELEASE}/1.0.0").status_code == 200
    assert len(many) == len(few) <= 4, many


def test_an_unfinished_upload_is_shown_looked_at_anew_and_removed(site: Site) -> None:
    admin = site.log_in(Role.ADMIN)
    upload_id = begin(admin, 10).rpartition("/")[2]
    part = admin.get(f"{PAGE}/uploads").text
    assert 'data-refresh="2"' in part
    assert "not whole" in part
    assert "data-refresh" in admin.get(f"{PAGE}/uploads/{upload_id}").text
    assert "The upload was removed." in _followed(admin, f"{PAGE}/uploads/{upload_id}/remove")
    assert admin.get(f"{PAGE}/uploads/{upload_id}").status_code == 404
