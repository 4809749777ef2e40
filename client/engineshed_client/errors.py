"""The errors of the updater, one tree; each branch is a decision of the caller.

Each carries a stable ``code`` (kebab-case, for programs, update.log and reports) and a message that
names the thing, what was found, what was expected and what to do. Exit codes are given to the
branches in ``cli`` and nowhere else.

    ClientError
    ├── Refused              not done as asked, and asking again cannot help: policy, skip list, order
    │   ├── ContentRefused       bytes, metadata or an order that are not what the vendor or portal signed
    │   └── EnrolmentRefused     the portal did not take this engine, or is not the portal expected
    ├── TryLater             the same may work later
    │   ├── Locked               another updater works on this base
    │   ├── NotApproved          the portal's admin has not let this engine in yet
    │   └── PortalUnavailable    the portal cannot be reached, is overloaded or answers nonsense
    ├── SettingsRefused      updater.toml, environment or flags have faults, all of them listed
    ├── EngineTrouble        the engine as a service does not do as told
    │   ├── StartFailed          the start command failed, or nothing runs after it
    │   └── StopFailed           a process of the engine is left at the deadline
    ├── DiskTrouble          a file-system call failed: full, denied, read-only, broken
    │   └── JournalUnwritable    the journal could not be saved, so the next action must not happen
    ├── TreeBroken           no whole engine is where one must be; nothing is deleted
    ├── NewerSchema          a newer updater wrote this file; touch nothing, wait for that updater
    └── AttemptUnfinished    an attempt could not be brought to its end now; its journal is kept
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from engineshed_packages import errors as format_errors


class ClientError(Exception):
    """Base of all errors of the updater.

    Args:
        code: stable kebab-case name of the reason.
        message: what was found, what was expected, what to do.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Refused(ClientError):
    """Not done as asked; asking again for the same cannot help."""


class ContentRefused(Refused):
    """Bytes, metadata or an order are not what the vendor or the portal signed."""


class EnrolmentRefused(Refused):
    """The portal did not take this engine, or it is not the portal that was expected."""


class TryLater(ClientError):
    """The same may work later.

    Attributes:
        retry_after_s: seconds the other side asked to wait, or None.
    """

    def __init__(self, code: str, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(code, message)
        self.retry_after_s = retry_after_s


class Locked(TryLater):
    """Another updater works on this base."""


class NotApproved(TryLater):
    """The portal's admin has not let this engine in yet: it may poll, and is given nothing else."""


class PortalUnavailable(TryLater):
    """The portal cannot be reached, is overloaded or answers nonsense. Never ill health of the engine."""


class SettingsRefused(ClientError):
    """The configuration has faults.

    Attributes:
        faults: one sentence per fault, each naming the setting and where its value came from.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("settings-refused", "; ".join(faults))
        self.faults = tuple(faults)


class EngineTrouble(ClientError):
    """The engine as a service does not do as told."""


class StartFailed(EngineTrouble):
    """The start command failed, or nothing runs after it."""


class StopFailed(EngineTrouble):
    """A process of the engine is left at the deadline."""


class DiskTrouble(ClientError):
    """A file-system call failed; codes ``disk-full``, ``disk-denied``, ``disk-read-only``, ``disk-error``."""


class JournalUnwritable(DiskTrouble):
    """The journal could not be saved: the action it announces must not happen."""


class TreeBroken(ClientError):
    """No whole engine is where one must be."""


class NewerSchema(ClientError):
    """A newer updater wrote this file: touch nothing, wait for that updater."""


class AttemptUnfinished(ClientError):
    """An attempt could not be brought to its end now; its journal is kept for the next recovery."""


_DISK_CODES = {
    errno.ENOSPC: "disk-full",
    errno.EDQUOT: "disk-full",
    errno.EACCES: "disk-denied",
    errno.EPERM: "disk-denied",
    errno.EROFS: "disk-read-only",
}


def disk_code(err: OSError) -> str:
    """The stable code of a failed file-system call; ``disk-error`` for what has none of its own."""
    return _DISK_CODES.get(err.errno or 0, "disk-error")


def disk_trouble(err: OSError) -> DiskTrouble:
    """*err* as an error of ours, with the file it was about when the system names it."""
    code = disk_code(err)
    about = f"{err.filename}: " if err.filename else ""
    advice = ": make room on the volume of the base" if code == "disk-full" else ""
    return DiskTrouble(code, f"{about}{err.strerror or err}{advice}")


@contextmanager
def client_boundary() -> Iterator[None]:
    """Turn errors of the format and of the system into the updater's own, codes and messages kept."""
    try:
        yield
    except format_errors.Unavailable as err:
        raise PortalUnavailable(err.code, err.message, retry_after_s=err.retry_after_s) from err
    except format_errors.PackagesError as err:
        raise ContentRefused(err.code, err.message) from err
    except OSError as err:
        raise disk_trouble(err) from err
