"""Notes of a release as a page shows them: Markdown of the vendor made into harmless HTML, twice guarded.

The vendor has signed them, and yet no page depends on what he wrote: the parser takes no HTML for HTML, and
what it makes is cleaned once more, down to the elements and addresses below. Pictures would be loaded from
elsewhere, which no page does: a link stands in their place.
"""

from __future__ import annotations

from functools import cache

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

_TEXT = {"p", "br", "hr", "em", "strong", "s", "code", "pre", "blockquote", "a"}
_BLOCKS = {"h3", "h4", "h5", "h6", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td"}
_ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}
_SCHEMES = ("http", "https", "mailto")
_FIRST_LEVEL = 2  # above the notes the page has headings of its own: theirs begin below
_DEEPEST = 6


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")


def markdown(text: str) -> Markup:
    """*text* as HTML that may stand in a page as it is."""
    parser = _parser()
    tokens = parser.parse(text)
    for token in tokens:
        _lower_heading(token)
    made = parser.renderer.render(tokens, parser.options, {})
    return Markup(
        nh3.clean(
            made,
            tags=_TEXT | _BLOCKS,
            attributes=_ATTRIBUTES,
            url_schemes=set(_SCHEMES),
            attribute_filter=_without_own_addresses,
            link_rel="noopener noreferrer",
        )
    )


def _lower_heading(token: Token) -> None:
    if token.type in ("heading_open", "heading_close"):
        token.tag = f"h{min(int(token.tag[1]) + _FIRST_LEVEL, _DEEPEST)}"


def _without_own_addresses(_element: str, name: str, value: str) -> str | None:
    """The value, unless it is an address without a scheme: that would lead to pages of this portal."""
    return None if name == "href" and value.partition(":")[0].lower() not in _SCHEMES else value
