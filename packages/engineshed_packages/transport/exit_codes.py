"""Which exit code tells a script what an HTTP answer, or the lack of one, means to it."""

from __future__ import annotations

from engineshed_packages import exits
from engineshed_packages.errors import Unavailable
from engineshed_packages.transport.answers import HttpRefused

_BY_STATUS = {
    401: exits.REFUSED,
    403: exits.REFUSED,
    422: exits.BAD_CONTENT,
    460: exits.BAD_CONTENT,  # tus: other bytes arrived than were sent
}


def exit_code_of(err: HttpRefused | Unavailable) -> int:
    """The exit code for an error of the other side."""
    if isinstance(err, HttpRefused):
        return _BY_STATUS.get(err.status, exits.FAILED)
    return exits.UNREACHABLE if err.status is None else exits.TRY_LATER
