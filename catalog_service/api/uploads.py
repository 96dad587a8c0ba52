"""Uploads: files of people, shown to nobody else unless they are public."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import Any, cast
from urllib.parse import quote
from uuid import UUID

from flask import Blueprint, Response, current_app
from pydantic import Field

from catalog_service.antivirus import Scanner
from catalog_service.api.multipart import Received, accepts_form, received
from catalog_service.api.stored import storage, stored_response
from catalog_service.config import CatalogConfig
from catalog_service.domain import contents, filenames, files, uploads
from catalog_service.domain.files import Part
from catalog_service.domain.uploads import Allowance, Described
from catalog_service.models import Upload as UploadRow
from common.api import FileContent, FormFields, FormFlag, Page, PageQuery, Request, accepts, returns
from common.api import Response as Answer
from common.app import config
from common.auth import current_user, requires_user
from common.db import current_database, session, transaction
from common.errors import Invalid
from common.ids import new_id
from common.pagination import Sort, paginate

api = Blueprint("uploads", __name__, url_prefix="/api/v1/uploads")

FILE = "file"
_ID = UploadRow.__table__.c.id


class UploadForm(Request):
    is_public: FormFlag = Field(False, description="Whether everybody who is signed in may see and load it.")


class Upload(Answer):
    id: UUID
    filename: str
    content_type: str
    size: int
    sha256: str
    is_public: bool
    uploaded_at: datetime


@api.post("")
@requires_user("uploads:write")
@accepts_form(FormFields(UploadForm, FILE))
@returns(Upload, status=201)
def create_upload() -> tuple[Any, ...]:
    """Keep a file: a JPEG, PNG, WebP, PDF or plain text, by its content, of 10 MB at most."""
    user_id, id = current_user().user_id, new_id()
    settings = cast(CatalogConfig, config)
    with received(UploadForm, FILE, limit=settings.upload_limit) as form:
        file = _only(form.files)
        content_type = contents.content_type(file.content, pixels=settings.image_pixels)
        with current_database().read() as reader:  # what is one too many is not even stored
            uploads.require_room(reader, user_id, file.size, _allowance(settings))
        _scanner().require_clean(file.content)
        files.store(transaction, storage, uploads.file_name(id), [Part(uploads.PART, file.content, content_type)])
        name = filenames.safe(file.filename, content_type)
        described = Described(name, content_type, file.size, file.sha256, form.texts.is_public)
    upload = uploads.add(session, id, user_id, described, _allowance(settings))
    return _shown(upload), 201, {"Location": f"{api.url_prefix}/{id}"}


@api.get("")
@requires_user("uploads:read")
@accepts(query=PageQuery)
@returns(Page[Upload])
def list_uploads(query: PageQuery) -> dict[str, Any]:
    """One's own files, the latest first."""
    mine = uploads.listing(current_user().user_id)
    return paginate(session, mine, by=[Sort(_ID, "id", descending=True)], query=query, row=_shown)


@api.get("/<uuid:id>")
@requires_user("uploads:read")
@returns(Upload)
def get_upload(id: UUID) -> dict[str, Any]:
    """What is known of a file: one's own, or a public one."""
    return _shown(uploads.find(session, id, current_user().user_id))


@api.delete("/<uuid:id>")
@requires_user("uploads:write")
@returns(None, status=204)
def delete_upload(id: UUID) -> tuple[str, int]:
    """Remove a file of one's own."""
    uploads.remove(session, id, current_user().user_id)
    return "", 204


@api.get("/<uuid:id>/download")
@requires_user("uploads:read")
@returns(FileContent(contents.ALLOWED), description="The file, to be saved.")
def download_upload(id: UUID) -> Response:
    """The file itself: one's own, or a public one."""
    upload = uploads.find(session, id, current_user().user_id)
    charset = "; charset=utf-8" if upload.content_type == contents.TEXT else ""
    return stored_response(
        f"{upload.file}/{uploads.PART}",
        upload.content_type + charset,
        upload.sha256,
        caching="private, no-cache",
        **{"Content-Disposition": _attachment(upload.filename), "Content-Length": str(upload.size)},
    )


def _only(found: list[Received]) -> Received:
    if not found:
        raise Invalid.field(FILE, "is needed: one file")
    if not found[0].size:
        raise Invalid.field(FILE, "is empty")
    return found[0]


def _allowance(settings: CatalogConfig) -> Allowance | None:
    """None is any number: for the staff."""
    if current_user().role == "admin":
        return None
    return Allowance(settings.uploads_per_user, settings.upload_bytes_per_user)


def _scanner() -> Scanner:
    return cast(Scanner, current_app.extensions["scanner"])


def _shown(upload: Any) -> dict[str, Any]:
    return {name: getattr(upload, name) for name in Upload.model_fields}


def _attachment(filename: str) -> str:
    """RFC 6266 section 4.3: a name in ASCII for old programs, and the name."""
    ascii_name = unicodedata.normalize("NFKD", filename).encode("ascii", "ignore").decode()
    plain = ascii_name if ascii_name.partition(".")[0] else f"file{ascii_name}"
    if plain == filename:
        return f'attachment; filename="{filename}"'
    encoded = quote(filename, safe="!#$&+-.^_`|~")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
