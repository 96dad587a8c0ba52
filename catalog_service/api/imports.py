"""Imports: files of books that the worker takes in, what became of each row, and their undoing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal, cast
from uuid import UUID

from flask import Blueprint, Response, request
from pydantic import Field
from werkzeug.datastructures import FileStorage

from catalog_service.api.multipart import accepts_form
from catalog_service.config import CatalogConfig
from catalog_service.domain import audit
from catalog_service.domain.imports import jobs, rejected, undo
from catalog_service.domain.imports.formats import FORMATS, FormatName
from catalog_service.domain.imports.reading import FileRefused, opened
from catalog_service.models import ImportChange, ImportJob, ImportProblem
from common.api import FileContent, FormFields, FormFlag, Page, PageQuery, Request, accepts, returns, validate
from common.api import Response as Answer
from common.app import config
from common.auth import current_user, requires
from common.db import current_database, session
from common.errors import Invalid, UnsupportedMediaType
from common.pagination import Sort, paginate

api = Blueprint("imports", __name__, url_prefix="/api/v1/admin/imports")

ERRORS_SHOWN = 100
FORM_OVERHEAD = 64 * 1024
FILES = FileContent(tuple(each.media_type.partition(";")[0] for each in FORMATS.values()))
Status = Literal["PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED"]


class ImportForm(Request):
    format: FormatName = "csv"
    dry_run: FormFlag = False


class Accepted(Answer):
    id: UUID
    status: Status


class RowError(Answer):
    row: int = Field(description="As a spreadsheet numbers it; 0: the file as a whole.")
    field: str
    message: str


class Undo(Answer):
    status: Status
    restored: int = Field(description="Books that have their former fields again.")
    withdrawn: int = Field(description="Books that the import had made, now off sale.")
    kept: int = Field(description="Books that were changed, sold or reserved since, and are left as they are.")


class ImportSummary(Accepted):
    format: FormatName
    dry_run: bool
    filename: str | None
    rows: int
    created: int
    updated: int
    unchanged: int
    rejected: int
    warnings: int
    progress: float = Field(description="From 0 to 1, by the bytes that were read.")
    undo: Undo | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Import(ImportSummary):
    errors: list[RowError] = Field(description="The first hundred; /problems has all.")
    links: dict[str, str]


class RowProblem(RowError):
    is_fatal: bool = Field(description="Whether the row was rejected for it; else it went in.")


class FieldChange(Answer):
    before: Any
    after: Any


class Change(Answer):
    row: int
    action: Literal["created", "updated"]
    book_id: UUID | None = Field(description="None for a book that a dry run did not make.")
    code: str
    fields: dict[str, FieldChange]
    undo_outcome: Literal["restored", "withdrawn", "kept"] | None
    undo_reason: str | None


@api.post("")
@requires("books:write")
@accepts_form(FormFields(ImportForm, "file"))
@returns(Accepted, status=202)
def create_import() -> tuple[Any, ...]:
    """Send a file of books to be taken in in the background."""
    file, form = _sent_file()
    actor = current_user().subject
    id = jobs.create(session, format=form.format, dry_run=form.dry_run, actor=actor, filename=_name(file))
    jobs.store(session, id, file.stream)
    after = {"format": form.format, "dry_run": form.dry_run, "filename": _name(file)}
    audit.acted(session, actor, "import.requested", id, after=after)
    return {"id": id, "status": "PENDING"}, 202, {"Location": f"{api.url_prefix}/{id}"}


@api.get("")
@requires("books:write")
@accepts(query=PageQuery)
@returns(Page[ImportSummary])
def list_imports(query: PageQuery) -> dict[str, Any]:
    """All imports, the latest first; those of the command line too."""
    newest = [Sort(ImportJob.__table__.c.id, "id", descending=True)]
    return paginate(session, jobs.listing(), by=newest, query=query, row=_summary)


@api.get("/<uuid:id>")
@requires("books:write")
@returns(Import)
def get_import(id: UUID) -> dict[str, Any]:
    """How far an import is, and what became of its rows."""
    job = jobs.find(session, id)
    path = f"{api.url_prefix}/{id}"
    links = {name: f"{path}/{name}" for name in ("problems", "changes", "rejected", "cancel", "undo")}
    return _summary(job) | {"errors": _errors(job), "links": links}


@api.get("/<uuid:id>/problems")
@requires("books:write")
@accepts(query=PageQuery)
@returns(Page[RowProblem])
def list_problems(id: UUID, query: PageQuery) -> dict[str, Any]:
    """Why rows were rejected, and what was doubtful about others."""
    jobs.find(session, id)
    order = [Sort(ImportProblem.__table__.c.id, "id")]
    return paginate(session, jobs.problems(id), by=order, query=query, row=_members(RowProblem))


@api.get("/<uuid:id>/changes")
@requires("books:write")
@accepts(query=PageQuery)
@returns(Page[Change])
def list_changes(id: UUID, query: PageQuery) -> dict[str, Any]:
    """What each row did to which book, field by field; of a dry run, what it would do."""
    jobs.find(session, id)
    order = [Sort(ImportChange.__table__.c.row, "row")]
    return paginate(session, jobs.changes(id), by=order, query=query, row=_change)


@api.get("/<uuid:id>/rejected")
@requires("books:write")
@returns(FILES, description="The rejected rows as a file of the format that was sent.")
def get_rejected(id: UUID) -> Response:
    """The bad rows as a file, to be repaired and sent again."""
    job = jobs.find(session, id)
    written = FORMATS[job.format]
    pieces = rejected.as_file(current_database().read, job)
    return attachment(pieces, written.media_type, f"rejected-{id}.{written.extension}")


@api.post("/<uuid:id>/undo")
@requires("books:write")
@returns(Accepted, status=202)
def undo_import(id: UUID) -> tuple[Any, ...]:
    """Have it taken back: former fields again, new books off sale; what was changed or sold since stays."""
    undo.request(session, id, actor=current_user().subject)
    return {"id": id, "status": "PENDING"}, 202, {"Location": f"{api.url_prefix}/{id}"}


@api.post("/<uuid:id>/cancel")
@requires("books:write")
@returns(Accepted)
def cancel_import(id: UUID) -> dict[str, Any]:
    """Take it no further: what went in already stays, and can be undone. Saying it again changes nothing."""
    job = jobs.cancel(session, id, actor=current_user().subject)
    return {"id": id, "status": job.status}


def attachment(pieces: Iterator[bytes], media_type: str, filename: str) -> Response:
    """A file as it is made. What goes wrong before its first piece is a problem still."""
    first = next(pieces, b"")
    headers = {
        "Content-Disposition": f'attachment; filename="{filename}"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    answer = Response(_all(first, pieces), headers=headers, content_type=media_type)
    answer.call_on_close(pieces.close)  # type: ignore[attr-defined]
    return answer


def _all(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _sent_file() -> tuple[FileStorage, ImportForm]:
    """The form, whose file werkzeug has put on the disk while it came in. Raises Invalid and the like."""
    request.max_content_length = cast(CatalogConfig, config).import_limit + FORM_OVERHEAD
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType("Send the file as multipart/form-data.")
    form = validate(ImportForm, request.form.to_dict())
    files = request.files.getlist("file")
    if len(files) != 1 or len(request.files) != 1:
        raise Invalid.field("file", "send one file, in this field")
    try:
        opened(files[0].stream)
    except FileRefused as refused:
        raise Invalid.field("file", str(refused)) from None
    files[0].stream.seek(0)
    return files[0], form


def _name(file: FileStorage) -> str | None:
    """For people to recognise it; no path is ever made of it."""
    last = (file.filename or "").replace("\\", "/").rpartition("/")[2]
    printable = "".join(character for character in last if character.isprintable())
    return printable[:255] or None


def _summary(job: Any) -> dict[str, Any]:
    done = job.status == "COMPLETED"
    summary = {name: getattr(job, name) for name in ImportSummary.model_fields if name not in ("progress", "undo")}
    progress = 1.0 if done else min(1.0, round(job.position / job.size, 3)) if job.size else 0.0
    return summary | {"progress": progress, "undo": _undo(job)}


def _undo(job: Any) -> dict[str, Any] | None:
    if job.undo_status is None:
        return None
    return {"status": job.undo_status, "restored": job.restored, "withdrawn": job.withdrawn, "kept": job.kept}


def _errors(job: ImportJob) -> list[dict[str, Any]]:
    whole = [{"row": 0, "field": "file", "message": job.failure}] if job.failure else []
    return whole + jobs.first_errors(session, job.id, ERRORS_SHOWN)


def _change(row: Any) -> dict[str, Any]:
    names = row.before | row.after
    fields = {name: {"before": row.before.get(name), "after": row.after.get(name)} for name in names}
    return {name: getattr(row, name) for name in Change.model_fields if name != "fields"} | {"fields": fields}


def _members(model: type[Answer]) -> Any:
    return lambda row: {name: getattr(row, name) for name in model.model_fields}
