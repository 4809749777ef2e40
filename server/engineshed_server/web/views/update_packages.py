"""Update packages: what this portal offers to its engines, and how it comes here.

The page of the manual's "Administration / Parameters / Engine / Update": the package installed on this
portal, its files for the update by hand, the latest version, the upload and what became of it; beside these
every release with its notes, and whether it is held back.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flask import Response, flash, request, url_for

from engineshed_packages.bundle import VERSION_NAME
from engineshed_packages.jsontext import escape_controls
from engineshed_packages.notes import LanguageNotes
from engineshed_server.api.context import now, portal
from engineshed_server.api.stored_targets import answer_stored
from engineshed_server.domain.roles import Role
from engineshed_server.domain.uploads import DONE, FAILED
from engineshed_server.errors import NotFound, Refused, ServerError
from engineshed_server.services import holds, releases
from engineshed_server.services.holds import HoldChange
from engineshed_server.services.ingest import Ingested
from engineshed_server.services.reasons import MAX_REASON_CHARS
from engineshed_server.services.releases import Release
from engineshed_server.services.uploads import owning
from engineshed_server.services.uploads.owning import Upload
from engineshed_server.web import forms
from engineshed_server.web.pages import Pages
from engineshed_server.web.people import actor
from engineshed_server.web.rendering import go_to, render, render_again
from engineshed_server.web.views.uploads import PIECE_BYTES, uploader

pages = Pages("update_packages")
RELEASES_PER_PAGE = 20
UPLOADS_SHOWN = 6
MAX_VERSION_CHARS = 64
_LANGUAGE = "en"  # of the pages; notes in others are shown when there are none in it
_ONE = "/update-packages/releases/<name:product>/<name:version>"


@dataclass(frozen=True)
class VersionTxt:
    """The file ``Version.txt`` of a release, for people: what it says, and its digests."""

    data: bytes

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def sha1(self) -> str:
        """To be compared by eye, as the manual has it; never trusted."""
        return hashlib.sha1(self.data, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class ShownUpload:
    """An upload, its outcome split into what is looked for."""

    upload: Upload

    @property
    def is_final(self) -> bool:
        return self.upload.state in (DONE, FAILED)

    @property
    def result(self) -> Ingested | None:
        """What the bundle held and changed, once it is done."""
        return self.upload.outcome if isinstance(self.upload.outcome, Ingested) else None

    @property
    def problem(self) -> ServerError | None:
        """Why it failed, or what it waits for."""
        return self.upload.outcome if isinstance(self.upload.outcome, ServerError) else None

    @property
    def reason(self) -> str:
        """The sentence of the problem; names out of a bundle may hold anything."""
        return "" if self.problem is None else escape_controls(self.problem.message)


@pages.get("/update-packages", needs=Role.VIEWER)
def show_packages() -> Response:
    """What is installed on this portal, of one product at a time; uploads; all releases."""
    products = releases.list_products(portal())
    asked = request.args.get("product")
    product = asked if asked in products else next(iter(products), None)
    after = request.args.get("after")
    values: dict[str, Any] = {"newest": None, "page": releases.ReleasePage(releases=(), after=None)}
    if product is not None:
        place = None if after is None else (product, after[:MAX_VERSION_CHARS])
        values["newest"] = releases.find_newest_release(portal(), product)
        values["page"] = releases.page_releases(
            portal(), limit=RELEASES_PER_PAGE, product=product, after=place
        )
    return render(
        "update_packages.html",
        products=products,
        product=product,
        after=after,
        piece_bytes=PIECE_BYTES,
        address=portal().settings.public_url,
        **values,
        **_of_release(values["newest"]),
        **_uploads(),
    )


@pages.get("/update-packages/uploads", needs=Role.VIEWER)
def show_uploads() -> Response:
    """The part of the page that tells of uploads."""
    return render("update_packages/_uploads.html", **_uploads())


@pages.get("/update-packages/uploads/<name:upload_id>", needs=Role.VIEWER)
def show_upload(upload_id: str) -> Response:
    """What was verified of an upload, or why it was refused."""
    return render("update_packages/upload.html", one=_find_upload(upload_id))


@pages.get("/update-packages/uploads/<name:upload_id>/outcome", needs=Role.VIEWER)
def show_outcome(upload_id: str) -> Response:
    """The part of that page which looks anew until it is final."""
    return render("update_packages/_outcome.html", one=_find_upload(upload_id))


@pages.post("/update-packages/uploads/<name:upload_id>/remove", needs=Role.ADMIN)
def remove_upload(upload_id: str) -> Response:
    """End an upload; what was published of it stays."""
    owning.terminate_upload(portal(), upload_id, asking=uploader(), actor=actor(), now=now())
    flash("The upload was removed.", "good")
    return go_to(url_for(".show_packages"))


@pages.get(_ONE, needs=Role.VIEWER)
def show_release(product: str, version: str) -> Response:
    """One release: its packages, its notes, and whether it is held back."""
    return render("update_packages/release.html", **_release_page(product, version))


@pages.post(f"{_ONE}/hold", needs=Role.ADMIN)
def hold_release(product: str, version: str) -> Response:
    """Offer a release to no engine any more."""
    return _change_hold(product, version, held=True)


@pages.post(f"{_ONE}/unhold", needs=Role.ADMIN)
def unhold_release(product: str, version: str) -> Response:
    """Let a release go."""
    return _change_hold(product, version, held=False)


@pages.get("/update-packages/files/<path:name>", needs=Role.VIEWER)
def send_file(name: str) -> Response:
    """A package, or notes, by its name that carries the digest."""
    found = releases.find_target(portal(), name)
    if found is None:
        raise NotFound("package-unknown", "there is no such package here: go back to Update packages")
    return answer_stored(found)


@pages.get(f"{_ONE}/{VERSION_NAME}", needs=Role.VIEWER)
def send_version_txt(product: str, version: str) -> Response:
    """``Version.txt`` of a release."""
    release = releases.show_release(portal(), product, version=version)
    answer = Response(release.version_txt, content_type="text/plain; charset=utf-8")
    answer.headers["Content-Disposition"] = f'attachment; filename="{VERSION_NAME}"'
    return answer


def _change_hold(product: str, version: str, *, held: bool) -> Response:
    try:
        change = HoldChange(held=held, reason=forms.text("reason", max_chars=MAX_REASON_CHARS))
    except Refused as err:
        return render_again("update_packages/release.html", err, **_release_page(product, version))
    changed = holds.change_hold(portal(), product, version=version, change=change, actor=actor(), now=now())
    name = f"{product} {version}"
    if not changed:
        flash(f"{name} was {'on hold' if held else 'let go'} already.", "info")
    elif held:
        flash(f"{name} is on hold: no engine is offered it any more.", "good")
    else:
        flash(f"{name} is offered again.", "good")
    return go_to(url_for(".show_release", product=product, version=version))


def _release_page(product: str, version: str) -> dict[str, Any]:
    release = releases.show_release(portal(), product, version=version)
    notes, missing = _read_notes(release)
    return {"release": release, "notes": notes, "notes_missing": missing, **_of_release(release)}


def _read_notes(release: Release) -> tuple[LanguageNotes | None, str]:
    """The notes in the pages' language, or why there are none to be shown."""
    if release.notes is None:
        return None, "The vendor wrote none, or no bundle has brought them here."
    try:
        languages = releases.read_notes(portal(), release.notes).languages
    except (NotFound, Refused) as err:
        return None, f"They cannot be shown: {err.message}"
    return languages.get(_LANGUAGE, next(iter(languages.values()))), ""


def _of_release(release: Release | None) -> dict[str, Any]:
    return {"version_txt": None if release is None else VersionTxt(release.version_txt)}


def _uploads() -> dict[str, Any]:
    found = owning.page_uploads(portal(), asking=uploader(), limit=UPLOADS_SHOWN, after=None)
    shown = [ShownUpload(one) for one in found.uploads]
    return {"uploads": shown, "busy": not all(one.is_final for one in shown)}


def _find_upload(upload_id: str) -> ShownUpload:
    return ShownUpload(owning.show_upload(portal(), upload_id, asking=uploader(), now=now()))
