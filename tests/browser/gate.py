"""Between a page and the portal: what of an upload gets through, piece by piece."""

from __future__ import annotations

from playwright.sync_api import Page, Request, Route


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
