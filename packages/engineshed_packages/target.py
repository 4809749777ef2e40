"""A verified TUF target as a value: one signed package and what the vendor says about it.

Everything here stands inside signed metadata: path, length and digest in the target itself, the rest in
its custom fields, which hold whole numbers and texts only. Path, product, version and platform say the
same thing twice and must agree, because each of them is read by somebody.

    Target.from_custom(path, length_bytes=…, sha256=…, custom=…)    reading metadata
    target.to_custom()                                              signing metadata

Unknown fields are kept in ``extra``. An unknown ``format`` is refused: fields we know may mean something
else there. A target that is refused says nothing about its neighbours: a reader leaves it out and goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType

from engineshed_packages.digests import is_sha256
from engineshed_packages.errors import TargetRefused, VersionUnreadable
from engineshed_packages.jsontext import Fields, Json, escape_controls
from engineshed_packages.target_names import (
    ANY,
    PLATFORMS,
    UPDATER_PRODUCT,
    check_channel,
    check_notes_path,
    check_platform,
    check_product,
    consistent_name,
    host_platform,
    notes_path,
    package_name,
    target_path,
)
from engineshed_packages.times import format_time
from engineshed_packages.versions import Version

__all__ = [
    "ANY",
    "DEFAULT_CHANNEL",
    "MAX_MESSAGE_CHARS",
    "MODES",
    "PLATFORMS",
    "SEVERITIES",
    "TARGET_FORMAT",
    "UPDATER_PRODUCT",
    "Target",
    "check_channel",
    "check_notes_path",
    "check_platform",
    "check_product",
    "consistent_name",
    "host_platform",
    "notes_path",
    "package_name",
    "target_path",
]

TARGET_FORMAT = 1
SEVERITIES = ("optional", "recommended", "critical")
MODES = ("automatic", "manual")
DEFAULT_CHANNEL = "stable"
MAX_MESSAGE_CHARS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One signed package.

    Attributes:
        path: as ``target_path`` gives it.
        length_bytes, sha256: of the package's zip.
        manifest_sha256: SHA-256 of the package's MANIFEST.json.
        disk_bytes: what the unpacked files take.
        published: aware UTC, whole seconds.
        channel, severity, mode: who should get it, how urgent it is, whether it is offered by itself.
        min_version: the version an engine must have at least before it takes this one.
        floor: nothing of the product below it is ever installed by an order.
        withdrawn: the vendor took the release back: it stays listed and is not offered.
        message: information message in the default language, one line of plain text; why, when withdrawn.
        notes: target path of the notes, None when there are none.
        extra: custom fields this version does not know, kept as they are.

    Raises:
        TargetRefused: codes ``product-name``, ``platform-unknown``, ``channel-name``,
            ``target-path-mismatch``, ``target-field-refused``.
    """

    path: str
    length_bytes: int
    sha256: str
    product: str
    version: Version
    platform: str
    manifest_sha256: str
    disk_bytes: int
    published: datetime
    format: int = TARGET_FORMAT
    channel: str = DEFAULT_CHANNEL
    severity: str = "optional"
    mode: str = "automatic"
    min_version: Version | None = None
    floor: Version | None = None
    withdrawn: bool = False
    message: str = ""
    notes: str | None = None
    extra: Mapping[str, int | str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.published.tzinfo is None:
            raise ValueError(f"expected an aware datetime, found the naive {self.published!r}")
        # What is signed has whole seconds; without this, writing and reading would give another value.
        object.__setattr__(self, "published", self.published.astimezone(UTC).replace(microsecond=0))
        object.__setattr__(self, "extra", MappingProxyType(dict(self.extra)))
        check_channel(self.channel)
        self._check_paths()
        self._check_fields()

    def _check_paths(self) -> None:
        expected = target_path(self.product, self.version, self.platform)
        if self.path != expected:
            raise TargetRefused(
                "target-path-mismatch",
                f"the target {self.path[:200]!r} says it is {self.product} {self.version} for "
                f"{self.platform}, whose path is {expected!r}",
            )
        expected = notes_path(self.product, self.version)
        if self.notes is not None and self.notes != expected:
            raise TargetRefused(
                "target-path-mismatch", f"the notes of {self.path} are {self.notes[:200]!r}, not {expected!r}"
            )

    def _check_fields(self) -> None:
        step, message = self.min_version, self.message
        plain = len(message) <= MAX_MESSAGE_CHARS and escape_controls(message) == message
        checks = (
            ("format", self.format == TARGET_FORMAT, f"{TARGET_FORMAT}"),
            ("length_bytes", self.length_bytes > 0, "at least one byte"),
            ("sha256", is_sha256(self.sha256), "64 lower-case hexadecimal digits"),
            ("manifest_sha256", is_sha256(self.manifest_sha256), "64 lower-case hexadecimal digits"),
            ("disk_bytes", self.disk_bytes >= 0, "a number of bytes"),
            ("severity", self.severity in SEVERITIES, f"one of {', '.join(SEVERITIES)}"),
            ("mode", self.mode in MODES, f"one of {', '.join(MODES)}"),
            ("min_version", step is None or step < self.version, f"a version below {self.version}"),
            ("message", plain, f"one line of plain text, at most {MAX_MESSAGE_CHARS} characters"),
            ("extra", self.extra.keys().isdisjoint(_KNOWN), "fields this version does not know"),
        )
        for name, good, expected in checks:
            if not good:
                raise _field_refused(self.path, name, getattr(self, name), expected=expected)

    def fits(self, platform: str) -> bool:
        """Whether the package runs on *platform*; one for ``any`` runs on all."""
        return self.platform in (ANY, platform)

    @property
    def withdrawal(self) -> str:
        """What a withdrawn release is said to be, with the vendor's reason: its message."""
        said = f"the vendor has withdrawn {self.product} {self.version.text}"
        return f"{said}: {self.message}" if self.message else said

    @property
    def download_name(self) -> str:
        """Name under ``targets/``: the digest before the file name, as consistent snapshots have it."""
        return consistent_name(self.path, self.sha256)

    @classmethod
    def from_custom(cls, path: str, *, length_bytes: int, sha256: str, custom: Mapping[str, Json]) -> Target:
        """Read the custom fields of the TUF target *path*.

        Raises:
            TargetRefused: as the class, code ``target-unreadable`` for a field of the wrong kind, and
                code ``target-format-unknown``: whoever reads it is too old.
        """
        fields = Fields(custom, "target", refusal=TargetRefused)
        number = fields.integer("format")
        if number != TARGET_FORMAT:
            raise TargetRefused(
                "target-format-unknown",
                f"the target {path[:200]!r} has format {number}, this version reads {TARGET_FORMAT}: update "
                "the software that reads it",
            )
        version = _version_or_none(fields, "version")
        if version is None:
            raise fields.wrong("version", "a version such as 3.4.0")
        return cls(
            path=path,
            length_bytes=length_bytes,
            sha256=sha256,
            product=fields.text("product"),
            version=version,
            platform=fields.text("platform"),
            manifest_sha256=fields.sha256("manifest_sha256"),
            disk_bytes=fields.integer("disk_bytes"),
            published=fields.time("published"),
            channel=fields.text("channel"),
            severity=fields.text("severity"),
            mode=fields.text("mode"),
            min_version=_version_or_none(fields, "min_version"),
            floor=_version_or_none(fields, "floor"),
            withdrawn=fields.integer("withdrawn", high=1) == 1,
            message=fields.text_or_none("message", max_chars=MAX_MESSAGE_CHARS) or "",
            notes=fields.text_or_none("notes", max_chars=300),
            extra=_numbers_and_texts(fields, fields.rest()),
        )

    def to_custom(self) -> dict[str, int | str]:
        """The custom fields to sign; absent ones are left out, ``withdrawn`` is 0 or 1."""
        known: dict[str, int | str | None] = {
            "format": self.format,
            "product": self.product,
            "version": self.version.text,
            "platform": self.platform,
            "channel": self.channel,
            "severity": self.severity,
            "mode": self.mode,
            "min_version": None if self.min_version is None else self.min_version.text,
            "floor": None if self.floor is None else self.floor.text,
            "withdrawn": int(self.withdrawn),
            "message": self.message,
            "notes": self.notes,
            "manifest_sha256": self.manifest_sha256,
            "disk_bytes": self.disk_bytes,
            "published": format_time(self.published),
        }
        return {**self.extra, **{name: value for name, value in known.items() if value is not None}}


_KNOWN = frozenset(Target.__dataclass_fields__) - {"path", "length_bytes", "sha256", "extra"}


def _field_refused(path: str, name: str, found: object, *, expected: str) -> TargetRefused:
    return TargetRefused(
        "target-field-refused",
        f"the target {path[:200]!r}: field {name} is {str(found)[:80]!a}, expected {expected}",
    )


def _version_or_none(fields: Fields, name: str) -> Version | None:
    try:
        return fields.version_or_none(name)
    except VersionUnreadable as err:
        raise fields.wrong(name, "a version such as 3.4.0") from err


def _numbers_and_texts(fields: Fields, rest: Mapping[str, Json]) -> dict[str, int | str]:
    """The unknown fields; they bind to the format too, which has no fractions, lists or objects."""
    kept: dict[str, int | str] = {}
    for name, value in rest.items():
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise fields.wrong(name, "a whole number or a text: the format has no other values")
        kept[name] = value
    return kept
