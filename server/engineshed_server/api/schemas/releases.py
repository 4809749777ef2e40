"""Releases, their packages and notes, and what an uploaded bundle changed."""

from __future__ import annotations

from marshmallow import fields

from engineshed_server.api.schemas.base import AnswerSchema, Flag, Moment, RequestSchema, Text
from engineshed_server.services.holds import HoldChange


class PackageSchema(AnswerSchema):
    """One package: what the vendor signed for one platform."""

    path = fields.String(attribute="target.path")
    download_name = fields.String(
        attribute="target.download_name", metadata={"description": "below targets/"}
    )
    platform = fields.String(attribute="target.platform")
    length = fields.Integer(attribute="target.length_bytes", metadata={"description": "bytes"})
    sha256 = fields.String(attribute="target.sha256")
    sha1 = fields.String(metadata={"description": "to compare by eye; never trusted"})
    channel = fields.String(attribute="target.channel")
    severity = fields.String(attribute="target.severity")
    mode = fields.String(attribute="target.mode")
    min_version = fields.String(attribute="target.min_version.text", allow_none=True)
    floor = fields.String(attribute="target.floor.text", allow_none=True)
    withdrawn = fields.Boolean(attribute="target.withdrawn")
    message = fields.String(attribute="target.message")


class NotesSchema(AnswerSchema):
    """The signed notes of a release."""

    path = fields.String()
    download_name = fields.String()
    length = fields.Integer(attribute="length_bytes", metadata={"description": "bytes"})
    sha256 = fields.String()


class ReleaseSchema(AnswerSchema):
    """One release; ``notes`` is null when none are here."""

    product = fields.String()
    version = fields.String()
    published = Moment()
    held = fields.Boolean()
    hold_reason = fields.String(allow_none=True)
    packages = fields.List(fields.Nested(PackageSchema))
    notes = fields.Nested(NotesSchema, allow_none=True)


class HoldChangeSchema(RequestSchema):
    """Whether a release is to be held back, and why."""

    makes = HoldChange

    held = Flag(required=True)
    reason = Text(most=500, required=True)


class IngestedReleaseSchema(AnswerSchema):
    """A release that became visible, or got another package."""

    product = fields.String()
    version = fields.String()
    platforms = fields.List(fields.String())


class VerifiedPackageSchema(AnswerSchema):
    """A package of a bundle, proven to be what the vendor signed; new here or not."""

    product = fields.String()
    version = fields.String()
    platform = fields.String()
    length = fields.Integer(attribute="length_bytes", metadata={"description": "bytes"})
    sha256 = fields.String()
    keyids = fields.List(
        fields.String(), metadata={"description": "of the keys that sign its product's releases"}
    )


class IngestedSchema(AnswerSchema):
    """What a bundle changed; ``code`` is published or unchanged."""

    code = fields.String()
    releases = fields.List(fields.Nested(IngestedReleaseSchema))
    added_metadata = fields.Boolean()
    notices = fields.List(fields.String())
    verified = fields.List(fields.Nested(VerifiedPackageSchema))


class BundleSchema(AnswerSchema):
    """An uploaded bundle and what it changed."""

    name = fields.String()
    sha256 = fields.String()
    length = fields.Integer(metadata={"description": "bytes"})
    code = fields.String(attribute="done.code")
    releases = fields.List(fields.Nested(IngestedReleaseSchema), attribute="done.releases")
    added_metadata = fields.Boolean(attribute="done.added_metadata")
    notices = fields.List(fields.String(), attribute="done.notices")
    verified = fields.List(fields.Nested(VerifiedPackageSchema), attribute="done.verified")
