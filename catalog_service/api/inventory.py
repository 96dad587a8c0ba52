"""The stock of the whole shop: what runs out, and stock takes."""

from __future__ import annotations

import io
from typing import Annotated, Any
from uuid import UUID

from flask import Blueprint, request
from pydantic import Field, StringConstraints

from catalog_service.api.multipart import accepts_form
from catalog_service.domain import audit, inventory, stock_take
from catalog_service.models import Book
from common.api import FileContent, FormFields, Page, PageQuery, Request, Response, accepts, returns
from common.auth import current_user, requires
from common.db import session
from common.errors import Invalid, UnsupportedMediaType
from common.ids import new_id
from common.pagination import Sort, paginate

api = Blueprint("inventory", __name__, url_prefix="/api/v1/admin/inventory")

MAX_BYTES = 1024 * 1024
MAX_ROWS = 10_000


class LowStockQuery(PageQuery):
    waiting: bool | None = None


class LowStock(Response):
    id: UUID
    code: str
    isbn: str | None
    title: str
    on_hand: int
    reserved: int
    available: int
    low_stock_threshold: int
    waiting_quantity: int = Field(description="How many copies people have pre-booked and wait for.")
    waiting_count: int = Field(description="How many pre-bookings that is.")


class StockTakeQuery(Request):
    dry_run: bool = False
    reason: Annotated[str, StringConstraints(min_length=1, max_length=500)] = "stock take"


class StockTakeForm(Request):
    """The file alone; how it is taken stands in the query string."""


class Difference(Response):
    row: int
    book_id: UUID
    code: str
    before: int
    counted: int
    difference: int


class RefusedRow(Response):
    row: int
    message: str


class StockTake(Response):
    dry_run: bool
    rows: int
    unchanged: int
    differences: list[Difference]
    errors: list[RefusedRow] = Field(description="Rows that were not entered; the others were.")


@api.get("/low-stock")
@requires("stock:write")
@accepts(query=LowStockQuery)
@returns(Page[LowStock])
def list_low_stock(query: LowStockQuery) -> dict[str, Any]:
    """Books at or under their threshold, the fewest available first, with what people wait for."""
    return paginate(
        session,
        inventory.low_stock(waiting=query.waiting),
        by=[Sort(inventory.AVAILABLE, "available"), Sort(Book.__table__.c.id, "id")],
        query=query,
        row=lambda row: _members(row, LowStock),
    )


@api.post("/stock-take")
@requires("stock:write")
@accepts(query=StockTakeQuery)
@accepts_form(FormFields(StockTakeForm, "file"), or_file=FileContent(("text/csv",)))
@returns(StockTake)
def take_stock(query: StockTakeQuery) -> dict[str, Any]:
    """Correct the stock by a CSV file (code or isbn, on_hand), sent as text/csv or as the form field file."""
    rows = list(stock_take.read(io.StringIO(_sent_text(), newline="")))
    if len(rows) > MAX_ROWS:
        raise Invalid.field("file", f"has more than {MAX_ROWS} rows")
    outcome, actor = stock_take.Outcome(), current_user().subject
    stock_take.take(session, rows, outcome, actor=actor, reason=query.reason, dry_run=query.dry_run)
    if outcome.differences and not query.dry_run:
        told = {"rows": outcome.rows, "corrected": len(outcome.differences), "refused": len(outcome.errors)}
        audit.acted(session, actor, "stock.taken", new_id(), after=told, reason=query.reason)
    return _document(outcome, dry_run=query.dry_run)


def _sent_text() -> str:
    request.max_content_length = MAX_BYTES
    if "file" in request.files:
        content = request.files["file"].read()
    elif request.mimetype == "text/csv":
        content = request.get_data()
    else:
        raise UnsupportedMediaType("Send the file as text/csv, or as the field file of a form.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Invalid.field("file", "is not UTF-8") from None


def _document(outcome: stock_take.Outcome, *, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "rows": outcome.rows,
        "unchanged": outcome.unchanged,
        "differences": [_members(each, Difference) for each in outcome.differences],
        "errors": [_members(each, RefusedRow) for each in outcome.errors],
    }


def _members(source: object, answer: type[Response]) -> dict[str, Any]:
    return {name: getattr(source, name) for name in answer.model_fields}
