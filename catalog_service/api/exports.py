"""The catalogue as a file."""

from __future__ import annotations

from flask import Blueprint, Response
from pydantic import Field

from catalog_service.api.imports import FILES, attachment
from catalog_service.api.schemas import BookFilters
from catalog_service.domain import exports, fields, search
from catalog_service.domain.imports.formats import FORMATS, FormatName
from catalog_service.domain.search import Filters
from common.api import accepts, returns
from common.auth import requires
from common.db import current_database, session
from common.spreadsheets import RAW

api = Blueprint("exports", __name__, url_prefix="/api/v1/admin/exports")


class ExportQuery(BookFilters):
    """The filters of the book list; without any, all books, on sale or off."""

    format: FormatName = "csv"
    book_format: fields.BookFormat | None = None
    is_active: bool | None = None
    raw: bool = Field(False, description=RAW)
    limit: int | None = Field(None, ge=1, description="At most so many of the books that fit; without it, all.")

    def filters(self) -> Filters:
        given = {name: getattr(self, name) for name in BookFilters.model_fields}
        return Filters(**given, format=self.book_format)


@api.get("/books")
@requires("books:write")
@accepts(query=ExportQuery)
@returns(FILES, description="The file: CSV, ONIX 3.0 or MARC 21. Importing it again changes nothing.")
def export_books(query: ExportQuery) -> Response:
    """All books that fit the filters as CSV, ONIX or MARC, while they are read."""
    filters = search.understood(session, query.filters())
    chosen = exports.statement(filters, is_active=query.is_active, limit=query.limit)
    written = FORMATS[query.format]
    pieces = exports.stream(current_database().transaction(), chosen, query.format, raw=query.raw)
    return attachment(pieces, written.media_type, f"books.{written.extension}")
