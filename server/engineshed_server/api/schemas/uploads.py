"""Uploads: how far each is, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass

from marshmallow import fields

from engineshed_packages.jsontext import Json
from engineshed_server import problems
from engineshed_server.api.schemas.base import AnswerSchema, Moment
from engineshed_server.api.schemas.paging import Cursor, PageQuerySchema, Place
from engineshed_server.api.schemas.problems import ProblemSchema
from engineshed_server.api.schemas.releases import IngestedSchema
from engineshed_server.errors import ServerError
from engineshed_server.services.ingest import Ingested
from engineshed_server.services.uploads.owning import Upload


@dataclass(frozen=True, slots=True)
class ShownUpload:
    """An upload, its outcome split into what a client looks for."""

    upload: Upload

    @property
    def result(self) -> Ingested | None:
        """What the bundle changed, once it is done."""
        return self.upload.outcome if isinstance(self.upload.outcome, Ingested) else None

    @property
    def problem(self) -> dict[str, Json] | None:
        """Why it failed, or what it waits for."""
        outcome, upload_id = self.upload.outcome, self.upload.upload_id
        if not isinstance(outcome, ServerError):
            return None
        told = problems.of_error(outcome, instance=upload_id) or problems.internal(upload_id)
        return told.to_dict()


class UploadSchema(AnswerSchema):
    """One upload; ``result`` when it is done, ``problem`` when it failed or has to wait."""

    upload = fields.String(attribute="upload.upload_id")
    name = fields.String(attribute="upload.name")
    length = fields.Integer(attribute="upload.length_bytes", metadata={"description": "bytes"})
    offset = fields.Integer(attribute="upload.offset_bytes", metadata={"description": "bytes that are safe"})
    state = fields.String(
        attribute="upload.state", metadata={"description": "created, complete, ingesting, done, failed"}
    )
    created = Moment(attribute="upload.created")
    expires = Moment(attribute="upload.expires")
    result = fields.Nested(IngestedSchema, allow_none=True)
    problem = fields.Nested(ProblemSchema, allow_none=True)


class UploadQuerySchema(PageQuerySchema):
    """A place in the list of uploads."""

    cursor = Cursor(Place.MOMENT, Place.TEXT)
