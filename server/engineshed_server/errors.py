"""The errors of the server, one tree; each branch is a decision of the caller.

Each carries a stable ``code`` (kebab-case, for programs) and a message for people. HTTP statuses are
given to the branches in ``problems`` and nowhere else; exit codes in ``cli``.

    ServerError
    ├── Refused            the input is not acceptable as it is; sending it again cannot help
    │   └── TooLarge           it is over a configured limit
    ├── NotAuthenticated   who is asking is not proven: no, wrong, expired or revoked credential
    ├── NotAllowed         who is asking is known, and may not do this
    ├── NotFound           the named thing does not exist
    ├── Conflict           it contradicts what is already there
    │   └── Outdated           what is to be edited was changed since it was read
    ├── TryLater           busy, throttled, out of space or the database is away: wait, then retry
    │   ├── Throttled          too much of it lately from this source: slow down
    │   ├── KeyMissing         no private order key is here that the engine knows
    │   └── Raced              another transaction took the same row first: run the use case again
    ├── SettingsRefused    the configuration has faults, all of them listed
    └── SetupRefused       the data folder is absent, incomplete or already in use
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from engineshed_packages import errors as format_errors


class ServerError(Exception):
    """Base of all errors of the server.

    Args:
        code: stable kebab-case name of the reason.
        message: what was found, what was expected, what to do.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Refused(ServerError):
    """The input is not acceptable as it is."""


class TooLarge(Refused):
    """The input is over a configured limit."""


class NotAuthenticated(ServerError):
    """The credential is absent, wrong, expired or revoked."""


class NotAllowed(ServerError):
    """The caller is known but may not do this."""


class NotFound(ServerError):
    """The named thing does not exist."""


class Conflict(ServerError):
    """The request contradicts what is already there."""


class Outdated(Conflict):
    """What is to be edited was changed since it was read."""


class TryLater(ServerError):
    """The same request may succeed later.

    Attributes:
        retry_after_s: seconds to wait before the next try.
    """

    def __init__(self, code: str, message: str, *, retry_after_s: int = 5) -> None:
        super().__init__(code, message)
        self.retry_after_s = retry_after_s


class Throttled(TryLater):
    """Too much of it came from this source lately."""


class KeyMissing(TryLater):
    """No private order key is here that the engine knows."""


class Raced(TryLater):
    """A unique row was taken by another transaction first; nothing was written."""


class SettingsRefused(ServerError):
    """The configuration has faults.

    Attributes:
        faults: one sentence per fault, each naming the setting and where its value came from.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("settings-refused", "; ".join(faults))
        self.faults = tuple(faults)


class SetupRefused(ServerError):
    """The data folder is not one this command can work with."""


@contextmanager
def format_boundary() -> Iterator[None]:
    """Turn errors of the format into the server's own, codes and messages kept.

    A service lets out only errors of this module.
    """
    try:
        yield
    except format_errors.Conflict as err:
        raise Conflict(err.code, err.message) from err
    except format_errors.Missing as err:
        raise Refused(err.code, err.message) from err
    except format_errors.Unavailable as err:
        wait_s = err.retry_after_s if err.retry_after_s is not None else 5
        raise TryLater(err.code, err.message, retry_after_s=wait_s) from err
    except format_errors.KeyUnusable as err:
        raise SetupRefused(err.code, err.message) from err
    except format_errors.PackagesError as err:
        raise Refused(err.code, err.message) from err
