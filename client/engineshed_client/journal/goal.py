"""From which engine an attempt starts, and which one it wants: the two values a journal turns around."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engineshed_packages.jsontext import Fields, Json, without_absent
from engineshed_packages.target import Target
from engineshed_packages.versions import Version

MAX_PROBLEMS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The engine an attempt starts from.

    Attributes:
        problems: how it differed from its manifest right before it was stopped (at most 20): a customer
            who patched a shipped file gets exactly that engine back.
    """

    version: Version
    manifest_sha256: str
    problems: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, values: Mapping[str, Json]) -> Origin:
        """Read the object."""
        fields = Fields(values, "journal")
        return cls(
            version=Version.parse(fields.text("version", max_chars=64)),
            manifest_sha256=fields.sha256("manifest_sha256"),
            problems=fields.texts("problems", max_items=MAX_PROBLEMS, max_chars=1000),
        )

    def to_dict(self) -> dict[str, Json]:
        """The JSON object."""
        return {
            "version": self.version.text,
            "manifest_sha256": self.manifest_sha256,
            "problems": list(self.problems),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """The engine an attempt wants: a signed package, or a previous version that was kept.

    Attributes:
        target: the package as the vendor's metadata was verified; None for a kept version.
        folder: name of the kept version's folder in the base; None for a package.
    """

    version: Version
    manifest_sha256: str
    target: Target | None = None
    folder: str | None = None

    def __post_init__(self) -> None:
        if (self.target is None) == (self.folder is None):
            raise ValueError("a goal is either a package or a kept folder")

    @classmethod
    def from_dict(cls, values: Mapping[str, Json]) -> Goal:
        """Read the object."""
        fields = Fields(values, "journal")
        package = fields.object_or_none("package")
        return cls(
            version=Version.parse(fields.text("version", max_chars=64)),
            manifest_sha256=fields.sha256("manifest_sha256"),
            target=None if package is None else _read_target(package),
            folder=fields.text_or_none("folder"),
        )

    def to_dict(self) -> dict[str, Json]:
        """The JSON object."""
        return without_absent(
            {
                "version": self.version.text,
                "manifest_sha256": self.manifest_sha256,
                "package": None if self.target is None else _write_target(self.target),
                "folder": self.folder,
            }
        )


def _read_target(values: Mapping[str, Json]) -> Target:
    fields = Fields(values, "journal")
    return Target.from_custom(
        fields.text("path", max_chars=400),
        length_bytes=fields.integer("length"),
        sha256=fields.sha256("sha256"),
        custom=fields.object_or_none("custom") or {},
    )


def _write_target(target: Target) -> dict[str, Json]:
    custom: dict[str, Json] = dict(target.to_custom())
    return {"path": target.path, "length": target.length_bytes, "sha256": target.sha256, "custom": custom}
