"""Notes: what support writes by hand is read by the same rules when it is signed and when it is shown."""

from __future__ import annotations

import json

import pytest

from engineshed_packages.errors import ReleaseRefused
from engineshed_packages.jsontext import Json
from engineshed_packages.notes import (
    MAX_LANGUAGES,
    MAX_MARKDOWN_CHARS,
    MAX_MESSAGE_CHARS,
    MAX_NOTES_BYTES,
    LanguageNotes,
    Notes,
)


def read(languages: Json, **others: Json) -> Notes:
    return Notes.from_bytes(json.dumps({"format": 1, "languages": languages, **others}).encode())


def refusal(data: bytes) -> ReleaseRefused:
    with pytest.raises(ReleaseRefused) as caught:
        Notes.from_bytes(data)
    return caught.value


def test_message_and_notes_are_read_by_language() -> None:
    notes = read({"en": {"message": "Back up.", "notes": "# New"}, "pt-BR": {"notes": "# Novo"}})
    assert notes.languages == {
        "en": LanguageNotes(message="Back up.", notes="# New"),
        "pt-BR": LanguageNotes(message="", notes="# Novo"),
    }


def test_lines_and_tabs_of_markdown_stay() -> None:
    markdown = "# New\n\n- one\n\t- two\r\n"
    assert read({"en": {"notes": markdown}}).languages["en"].notes == "# New\n\n- one\n\t- two\n"


def test_fields_of_a_later_version_are_ignored() -> None:
    notes = read({"en": {"message": "x", "sound": "ding"}}, links=["https://vendor.example"])
    assert notes.languages["en"].message == "x"


def test_the_largest_texts_are_read() -> None:
    said: Json = {"message": "m" * MAX_MESSAGE_CHARS, "notes": "n" * MAX_MARKDOWN_CHARS}
    assert len(read({"en": said}).languages["en"].notes) == MAX_MARKDOWN_CHARS


@pytest.mark.parametrize(
    ("languages", "named"),
    [
        (None, "0 languages"),
        ([], "languages"),
        ({}, "0 languages"),
        ({f"a{chr(97 + n // 26)}-{chr(97 + n % 26) * 2}": {"notes": "x"} for n in range(65)}, "65 languages"),
        ({"english": {"notes": "x"}}, "'english' is no language"),
        ({"": {"notes": "x"}}, "'' is no language"),
        ({"\u0435n": {"notes": "x"}}, "is no language"),
        ({"en": "x"}, "in en: found no object"),
        ({"en": {}}, "in en have neither"),
        ({"en": {"message": "", "notes": ""}}, "in en have neither"),
        ({"en": {"message": 1}}, "message in en"),
        ({"en": {"message": "m" * (MAX_MESSAGE_CHARS + 1)}}, "message in en"),
        ({"en": {"notes": ["x"]}}, "notes in en"),
        ({"en": {"notes": "n" * (MAX_MARKDOWN_CHARS + 1)}}, "notes in en"),
        ({"de": {"message": "\x1b[31m"}}, "message in de holds control"),
        ({"de": {"notes": "a\u202eb"}}, "notes in de holds control"),
        ({"de": {"notes": "a\rb"}}, "notes in de holds control"),
        ({"de": {"notes": "a\ud800b"}}, "notes in de holds control"),
    ],
)
def test_what_does_not_fit_is_refused_and_named(languages: Json, named: str) -> None:
    err = refusal(json.dumps({"format": 1, "languages": languages}).encode())
    assert err.code == "notes-unreadable"
    assert named in err.message


def test_there_are_as_many_languages_as_are_said_to_be_allowed() -> None:
    tags = [f"{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(MAX_LANGUAGES)]
    assert len(read({tag: {"notes": "x"} for tag in tags}).languages) == MAX_LANGUAGES


@pytest.mark.parametrize("data", [b"", b"# Markdown", b"[]", b'{"format": NaN}', b'{"a": 1, "a": 2}', b"{}"])
def test_what_is_no_json_object_with_a_format_is_refused(data: bytes) -> None:
    assert refusal(data).code == "notes-unreadable"


def test_a_later_format_is_told_apart_from_a_broken_file() -> None:
    err = refusal(b'{"format": 2, "anything": "else"}')
    assert (err.code, "format 2" in err.message) == ("notes-format-unknown", True)


def test_a_file_over_the_limit_is_not_even_parsed() -> None:
    assert refusal(b" " * (MAX_NOTES_BYTES + 1)).code == "notes-too-large"
