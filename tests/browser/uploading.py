"""Uploading on the page Update packages: a file is chosen, and its pieces get through one by one, or not."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, Request, Route, expect

CHOOSER = "Drop the vendor's bundle here, or choose it:"


def choose(page: Page, file: Path) -> None:
    """Chooses *file*, as somebody would: once the page is ready to take one."""
    chooser = page.get_by_label(CHOOSER)
    expect(chooser).to_be_visible()
    chooser.set_input_files(file)


class Gate:
    """Lets so many pieces of an upload through, and holds those that come after.

    Attributes:
        open_for: how many more may pass. offsets: where each piece that was sent began.
    """

    def __init__(self, page: Page, *, open_for: int) -> None:
        self.open_for = open_for
        self.offsets: list[int] = []
        page.route("**/web/uploads/*", self._look)

    def _look(self, route: Route, request: Request) -> None:
        if request.method != "PATCH":
            route.continue_()
            return
        self.offsets.append(int(request.headers["upload-offset"]))
        if self.open_for > 0:
            self.open_for -= 1
            route.continue_()
