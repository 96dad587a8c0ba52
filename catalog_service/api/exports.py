"""The catalogue as a file."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint, Response
from pydantic import Field

from catalog_service.api.imports import FILES, attachment
from catalog_service.domain import exports, fields, search
from catalog_service.domain.imports.formats import FORMATS, FormatName
from catalog_service.domain.search import Filters
from common.api import Money, Request, accepts, returns
from common.auth import requires
from common.db import current_database, session

api = Blueprint("exports", __name__, url_prefix="/api/v1/admin/exports")

Text = Annotated[str, Field(max_length=200)]


class ExportQuery(Request):
    """The filters of the book list; without any, all books, on sale or off."""

    format: FormatName = "csv"
    q: Text | None = None
    genre: list[Text] = Field(default=[], max_length=20)
    author: Text | None = None
    publisher: Text | None = None
    series: Text | None = None
    language: fields.Language | None = None
    book_format: fields.BookFormat | None = None
    min_price: Money | None = None
    max_price: Money | None = None
    in_stock: bool | None = None
    is_active: bool | None = None
    limit: int | None = Field(None, ge=1, description="At most so many of the books that fit; without it, all.")

    def filters(self) -> Filters:
        others = {"format", "book_format", "is_active", "limit"}
        given = {name: getattr(self, name) for name in type(self).model_fields if name not in others}
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
    pieces = exports.stream(current_database().transaction(), chosen, query.format)
    return attachment(pieces, written.media_type, f"books.{written.extension}")
