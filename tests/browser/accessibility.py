"""Whether everybody can use a page: axe-core finds nothing serious or critical, and it fits its window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
_GRAVE = ("serious", "critical")


def check_accessibility(page: Page) -> None:
    """Fails with what axe finds grave in the page as it is shown now."""
    page.evaluate(AXE.read_text("utf-8"))  # evaluated from outside, where the page's policy has no say
    found: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    grave = [
        f"{one['id']} ({one['impact']}): {node['html'][:200]} {node['failureSummary']}"
        for one in found["violations"]
        if one["impact"] in _GRAVE
        for node in one["nodes"]
    ]
    assert grave == [], "\n".join(grave)


def check_width(page: Page) -> None:
    """Fails when the page is wider than its window: nobody scrolls sideways on a telephone."""
    wide: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{page.url} is {wide} px wider than its window"
