"""``heard.json``: what the portal said last, or why no word of it comes, for the one who looks at this host.

Written only when the portal says something else than before: ``since`` tells how long it has been saying so.
For people alone: nothing is decided by it, and a file that is damaged or gone is written again by the next
poll.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from engineshed_client.fsops import FsOps
from engineshed_client.paths import Paths
from engineshed_packages.errors import PackagesError
from engineshed_packages.files import read_limited
from engineshed_packages.jsontext import Fields, Json, read_object, write_compact
from engineshed_packages.times import format_time

logger = logging.getLogger(__name__)

WAITING = "waiting-for-approval"  # the portal's code of a poll's answer, see docs/protocol.md
MAX_HEARD_BYTES = 8 * 1024
_MAX_TEXT_CHARS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What the portal said: the code and text of its answer or refusal, and since when it says so.

    Of one that is *away*, code and text are why no word of it comes.
    """

    code: str
    text: str
    since: datetime
    refused: bool = False
    away: bool = False

    @property
    def is_news(self) -> bool:
        """Whether somebody has to do something before the portal says otherwise."""
        return self.refused or self.code == WAITING


class HeardFile:
    """``heard.json`` on disk."""

    def __init__(self, paths: Paths, fs: FsOps) -> None:
        self._path = paths.heard
        self._fs = fs

    def load(self) -> Heard | None:
        """What was heard last; None when nothing was, or it cannot be read."""
        try:
            data = read_limited(self._path, MAX_HEARD_BYTES)
            fields = Fields(read_object(data, what="heard", max_bytes=MAX_HEARD_BYTES), "heard")
            return Heard(
                code=fields.text("code"),
                text=fields.text_or_none("text", max_chars=_MAX_TEXT_CHARS) or "",
                since=fields.time("since"),
                refused=fields.flag("refused"),
                away=fields.flag("away"),
            )
        except PackagesError:
            return None

    def note(self, heard: Heard) -> bool:
        """Write down what the portal says; false when it says what it said before.

        That somebody has to act outlives a portal that is away.
        Trouble with the disk is logged only: no poll fails for it.
        """
        before = self.load()
        # The texts of a refusal and of trouble name the request, which is another each time.
        by_code = heard.refused or heard.away
        if before is not None and before.code == heard.code and (by_code or before.text == heard.text):
            return False
        if before is not None and before.is_news and heard.away:
            return False
        values: dict[str, Json] = {
            "code": heard.code,
            "text": heard.text[:_MAX_TEXT_CHARS],
            "since": format_time(heard.since),
            "refused": heard.refused,
            "away": heard.away,
        }
        try:
            self._fs.write_file(self._path, write_compact(values), mode=0o600)
        except OSError as err:
            logger.warning("what the portal said is not written down", extra={"reason": str(err)})
        return True

    def forget(self) -> None:
        """Forget it: the portal speaks of another identity from now on."""
        self._fs.remove_file(self._path)
