"""A portal that is wrong on purpose: it writes the rows of a release before its bytes are kept.

The harness must find it out, or it finds out nothing. Started as the real one is, by `python -m`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from engineshed_server.cli import main
from engineshed_server.services import publishing
from engineshed_server.storage import blobs
from tests.crash.points import Seen

LATE = ".late"


def gives_name_late(call: Seen) -> bool:
    """Whether `call` gives bytes their name behind the rows; who dies there shows what is wrong."""
    return call.point.call == "rename" and f'{LATE}", ' in call.arguments


def _too_late() -> None:
    """Keep bytes under another name, and give them their own only once the rows are written."""
    waiting: list[Path] = []
    honest: Callable[..., None] = publishing.record

    def keep(arriving: Any) -> None:  # the store's own class, which has no public name
        late = arriving._final.with_name(arriving._final.name + LATE)
        late.parent.mkdir(exist_ok=True)
        arriving.path.rename(late)
        waiting.append(late)

    def record(*words: object, **named: object) -> None:
        honest(*words, **named)
        while waiting:
            late = waiting.pop()
            late.rename(late.with_name(late.name.removesuffix(LATE)))

    blobs._ArrivingFile.keep = keep  # type: ignore[method-assign, assignment]
    publishing.record = record


if __name__ == "__main__":
    _too_late()
    main()
