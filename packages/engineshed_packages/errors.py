"""The errors of the format, one tree for both sides.

Each branch is a decision of the caller; each error carries a stable ``code`` (kebab-case) that
programs compare, and a message for people that names the thing, what was found, what was expected
and what to do.

    PackagesError
    ├── Refused              never accept this as it is
    │   ├── ArchiveRefused       the zip is hostile or broken
    │   ├── ManifestRefused      the package's MANIFEST.json does not fit
    │   ├── VersionUnreadable    a version no comparator can order
    │   ├── TargetRefused        a signed target with fields that make no sense
    │   ├── MetadataRefused      TUF metadata unsigned, foreign, expired or rolled back
    │   ├── ContentMismatch      length or digest differ from what was signed
    │   ├── ProtocolRefused      a message on the wire that cannot be read
    │   ├── OrderRefused         an order this engine must not carry out
    │   ├── SourceRefused        the other side answered something unacceptable
    │   ├── ReleaseRefused       the vendor's side: a release, or notes, not to be published
    │   ├── FileRefused          a local file that is missing, too large or not readable as what it should be
    │   └── UnitRefused          a service unit that is not written, removed or started as asked
    ├── Missing              the other side has no such name
    ├── Unavailable          try again later
    ├── Conflict             somebody else published first: read again, then retry
    └── KeyUnusable          a signing key that is absent, locked or past its life
"""

from __future__ import annotations


class PackagesError(Exception):
    """Base of all errors of the format.

    Args:
        code: stable kebab-case name of the reason, for programs.
        message: one sentence or two for people.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[type[PackagesError], tuple[str, str]]:
        return type(self), (self.code, self.message)


class Refused(PackagesError):
    """Not acceptable as it is; trying again with the same thing cannot help."""


class ArchiveRefused(Refused):
    """The zip is hostile or broken."""


class ManifestRefused(Refused):
    """A package's manifest cannot be read or does not fit what was signed."""


class VersionUnreadable(Refused):
    """A version text that the canonical key cannot order."""


class TargetRefused(Refused):
    """A TUF target whose path or custom fields are not those of a package."""


class MetadataRefused(Refused):
    """TUF metadata that is unsigned, foreign, expired, rolled back or unreadable."""


class ContentMismatch(Refused):
    """Bytes whose length or SHA-256 differ from what was signed."""


class ProtocolRefused(Refused):
    """A message on the wire that cannot be read."""


class OrderRefused(Refused):
    """An order that this engine must not carry out."""


class SourceRefused(Refused):
    """The other side answered, but with something that must not be used."""


class ReleaseRefused(Refused):
    """A release, or its notes, that the vendor's side must not publish."""


class FileRefused(Refused):
    """A local file that is missing, too large, or not what it should be."""


class UnitRefused(Refused):
    """A service unit that is not written, removed or started as asked."""


class Missing(PackagesError):
    """The other side has no file of that name."""


class Unavailable(PackagesError):
    """The other side cannot be reached or asks for patience: try again later.

    Attributes:
        retry_after_s: seconds the other side asked to wait, or None.
        status: the HTTP status that said so, or None when there was no answer.
        problem: the ``code`` in that answer, or None.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retry_after_s: int | None = None,
        status: int | None = None,
        problem: str | None = None,
    ) -> None:
        super().__init__(code, message)
        self.retry_after_s = retry_after_s
        self.status = status
        self.problem = problem


class Conflict(PackagesError):
    """Somebody else changed the same thing first."""


class KeyUnusable(PackagesError):
    """A signing key that is absent, locked, of the wrong kind or past its life."""
