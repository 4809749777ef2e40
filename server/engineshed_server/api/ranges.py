"""Which bytes of a file a request asks for: RFC 9110, sections 13 and 14, as one pure decision.

``select`` looks at the conditional headers in the order the RFC gives them (If-Match, If-None-Match,
If-Range, Range) and returns what is to be sent. One range at most is served: a request for several gets
the whole file, which the RFC allows and which keeps a hostile client from asking for a thousand slices.
A Range header that cannot be read is ignored, as the RFC demands; one that lies behind the end is
answered 416.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

_SINGLE = re.compile(r"bytes=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*", re.ASCII)
_STRONG = re.compile(r'(?<!W/)"[\x21\x23-\x7e]*"', re.ASCII)
_WEAK_OR_STRONG = re.compile(r'"[\x21\x23-\x7e]*"', re.ASCII)


class Verdict(Enum):
    """What is to be answered."""

    WHOLE = "whole"
    PART = "part"
    NOT_MODIFIED = "not-modified"
    PRECONDITION_FAILED = "precondition-failed"
    UNSATISFIABLE = "unsatisfiable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """The headers of one request that decide; each is the header's text, or None when absent."""

    if_match: str | None = None
    if_none_match: str | None = None
    if_range: str | None = None
    range: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to send: the verdict, and for WHOLE and PART the offset and count of bytes."""

    verdict: Verdict
    offset: int = 0
    count_bytes: int = 0


def select(conditions: Conditions, *, length_bytes: int, etag: str) -> Selection:
    """Decide what of a file of *length_bytes* with the strong *etag* (with its quotes) is sent."""
    if conditions.if_match is not None and not _names(_STRONG, conditions.if_match, etag):
        return Selection(verdict=Verdict.PRECONDITION_FAILED)
    if conditions.if_none_match is not None and _names(_WEAK_OR_STRONG, conditions.if_none_match, etag):
        return Selection(verdict=Verdict.NOT_MODIFIED)
    whole = Selection(verdict=Verdict.WHOLE, count_bytes=length_bytes)
    if conditions.range is None:
        return whole
    # A date or a weak tag never equals a strong one: then the whole file is the right answer.
    if conditions.if_range is not None and conditions.if_range.strip() != etag:
        return whole
    found = _SINGLE.fullmatch(conditions.range)
    return whole if found is None else _slice(found.group(1), found.group(2), length_bytes, whole)


def _slice(first: str, last: str, length_bytes: int, whole: Selection) -> Selection:
    if not first and not last:
        return whole
    if not first:  # the last N bytes
        count = min(int(last), length_bytes)
        if count == 0:
            return Selection(verdict=Verdict.UNSATISFIABLE)
        return Selection(verdict=Verdict.PART, offset=length_bytes - count, count_bytes=count)
    offset = int(first)
    end = int(last) if last else length_bytes - 1
    if end < offset and last:
        return whole  # "5-2" is no range at all: ignored
    if offset >= length_bytes:
        return Selection(verdict=Verdict.UNSATISFIABLE)
    return Selection(verdict=Verdict.PART, offset=offset, count_bytes=min(end, length_bytes - 1) - offset + 1)


def _names(tags: re.Pattern[str], header: str, etag: str) -> bool:
    return header.strip() == "*" or etag in tags.findall(header)
