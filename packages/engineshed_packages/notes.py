"""The notes of a release: a signed file beside its packages, for people who decide and for nobody else.

    {"format": 1, "languages": {"en": {"message": "Needs 20 GB of disk.", "notes": "# What is new …"}}}

`message` is plain text, longer than the one that every target carries in the default language; `notes` is
Markdown, to be rendered without HTML. Support writes the file by hand: it is checked before it is signed,
and read with the same rules wherever it is shown. It is never written again, so what this version does
not know in it stays in it.

    Notes.from_bytes(data).languages["en"].message
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from engineshed_packages.errors import ProtocolRefused, ReleaseRefused
from engineshed_packages.jsontext import Fields, Json, escape_controls, read_object

NOTES_FORMAT = 1
MAX_NOTES_BYTES = 1024 * 1024
MAX_LANGUAGES = 64
MAX_MESSAGE_CHARS = 4000
MAX_MARKDOWN_CHARS = 200_000
# A tag as `en`, `pt-BR` or `zh-Hans-CN`: what BCP 47 (RFC 5646, section 2.1) allows, without its rarities.
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}", re.ASCII)
_LAYOUT = re.compile(r"\r?\n|\t", re.ASCII)  # all that a text may hold besides what can be seen


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageNotes:
    """What is said in one language; one of the two may be empty."""

    message: str
    notes: str


@dataclass(frozen=True, slots=True)
class Notes:
    """The notes of one release by language tag, at least one."""

    languages: Mapping[str, LanguageNotes]

    @classmethod
    def from_bytes(cls, data: bytes) -> Notes:
        """Read the file's bytes.

        Raises:
            ReleaseRefused: codes ``notes-too-large``, ``notes-unreadable`` and ``notes-format-unknown``
                (a later format: whoever reads it is too old).
        """
        if len(data) > MAX_NOTES_BYTES:
            raise ReleaseRefused(
                "notes-too-large", f"the notes have {len(data)} bytes, at most {MAX_NOTES_BYTES} are read"
            )
        try:
            values = read_object(data, what="notes", max_bytes=MAX_NOTES_BYTES)
        except ProtocolRefused as err:
            raise _unreadable(err.message) from err
        fields = Fields(values, "notes", refusal=ReleaseRefused)
        number = fields.integer("format", low=1)
        if number != NOTES_FORMAT:
            raise ReleaseRefused(
                "notes-format-unknown",
                f"the notes have format {number}, this version reads {NOTES_FORMAT}: update the software "
                "that reads them",
            )
        languages = fields.object_or_none("languages") or {}
        if not 1 <= len(languages) <= MAX_LANGUAGES:
            raise _unreadable(f"the notes have {len(languages)} languages, expected 1 to {MAX_LANGUAGES}")
        return cls(MappingProxyType({tag: _in_language(tag, said) for tag, said in languages.items()}))


def _in_language(tag: str, said: Json) -> LanguageNotes:
    if not _LANGUAGE.fullmatch(tag):
        raise _unreadable(f"the notes: {tag[:40]!a} is no language, expected a tag such as en or pt-BR")
    if not isinstance(said, dict):
        raise _unreadable(f"the notes in {tag}: found no object, expected message and notes")
    read = LanguageNotes(
        message=_text(said.get("message"), f"message in {tag}", max_chars=MAX_MESSAGE_CHARS),
        notes=_text(said.get("notes"), f"notes in {tag}", max_chars=MAX_MARKDOWN_CHARS),
    )
    if not read.message and not read.notes:
        raise _unreadable(f"the notes in {tag} have neither a message nor notes: leave the language out")
    return read


def _text(value: Json, where: str, *, max_chars: int) -> str:
    """A text of several lines, empty when absent; ends of lines become one newline."""
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > max_chars:
        raise _unreadable(f"the {where} is no text of at most {max_chars} characters")
    visible = _LAYOUT.sub("", value)
    if escape_controls(visible) != visible:
        raise _unreadable(f"the {where} holds control or direction characters: only line breaks and tabs may")
    return value.replace("\r\n", "\n")


def _unreadable(message: str) -> ReleaseRefused:
    return ReleaseRefused("notes-unreadable", message)
