"""Style, scripts and pictures: under addresses that name their content, kept by browsers for ever.

All files of ``static/`` are in memory, packed once as well: there are few and small ones. Their common digest
stands in their addresses, ``/static/<digest>/style.css``, so that one file may name another by its place
beside it, and no old file is ever taken for a new one.
"""

from __future__ import annotations

import gzip
import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from types import MappingProxyType

from flask import Response, request

from engineshed_server.api.access import EVERYBODY, declare
from engineshed_server.api.files import FOREVER
from engineshed_server.errors import NotFound

PREFIX = "/static"
_DIGEST_CHARS = 16
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}  # what is not one of these is not served, as the list of what is vendored


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file: as it is, and packed by gzip."""

    content_type: str
    plain: bytes
    packed: bytes


@dataclass(frozen=True, slots=True)
class Assets:
    """All files by their names below ``static/``, and the digest in their addresses."""

    digest: str
    files: Mapping[str, Asset]

    def address(self, name: str) -> str:
        """Where a browser finds *name*."""
        assert name in self.files, f"a template names {name}, which is not in static/"
        return f"{PREFIX}/{self.digest}/{name}"


@cache
def load_assets() -> Assets:
    """The files that were installed with this package; read once in a process."""
    found: dict[str, Asset] = {}
    digest = hashlib.sha256()
    for name, file in sorted(_walk(resources.files("engineshed_server.web") / "static", "").items()):
        data = file.read_bytes()
        digest.update(f"{name} {len(data)}\n".encode() + data)
        kind = _TYPES.get(name[name.rfind(".") :])
        if kind is not None:
            found[name] = Asset(content_type=kind, plain=data, packed=gzip.compress(data, 9, mtime=0))
    return Assets(digest.hexdigest()[:_DIGEST_CHARS], MappingProxyType(found))


def _walk(folder: Traversable, prefix: str) -> dict[str, Traversable]:
    found: dict[str, Traversable] = {}
    for one in folder.iterdir():
        if one.is_dir():
            found |= _walk(one, f"{prefix}{one.name}/")
        else:
            found[f"{prefix}{one.name}"] = one
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendored:
    """A part of the pages that is not ours."""

    name: str
    version: str
    licence: str


@cache
def list_vendored() -> tuple[Vendored, ...]:
    """What of ``static/`` is not ours, as ``vendored.toml`` says; read once in a process."""
    text = (resources.files("engineshed_server.web") / "static" / "vendored.toml").read_text("utf-8")
    parts = tomllib.loads(text)["vendored"]
    return tuple(Vendored(**{name: part[name] for name in ("name", "version", "licence")}) for part in parts)


@declare(EVERYBODY)
def send_asset(digest: str, name: str) -> Response:
    """One file, for ever; of another version of the portal, none."""
    assets = load_assets()
    asset = assets.files.get(name)
    if asset is None or digest != assets.digest:
        raise NotFound(
            "static-unknown", "there is no such file, or another version of the portal has it: reload"
        )
    packs = request.accept_encodings.quality("gzip") > 0
    answer = Response(asset.packed if packs else asset.plain, content_type=asset.content_type)
    answer.headers["Cache-Control"] = FOREVER
    answer.headers["Vary"] = "Accept-Encoding"
    if packs:
        answer.headers["Content-Encoding"] = "gzip"
    return answer
