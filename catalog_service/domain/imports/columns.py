"""Our own columns, as they are exported: an empty cell empties a field that may be empty, and else says nothing."""

from __future__ import annotations

from typing import Any

from catalog_service.domain.imports.draft import Problem, Rejected, Row
from catalog_service.domain.imports.records import Record

LIST_SEPARATOR = ";"
LISTS = ("authors", "genres")
NEVER_EMPTY = ("code", "title", "format", "price", "low_stock_threshold", "stock")
NULLABLE = (
    "isbn",
    "subtitle",
    "description",
    "publisher",
    "series_name",
    "series_position",
    "language",
    "pages",
    "published_year",
    "cost_price",
)
COLUMNS = (*NEVER_EMPTY, *NULLABLE, *LISTS, "currency")
INFORMATIVE = ("id", "on_hand", "reserved", "available", "rating_average", "rating_count", "is_active")
IGNORED = (*INFORMATIVE, "created_at", "updated_at", "cover_url")


def understands(columns: list[str]) -> bool:
    return bool({"code", "isbn", "title"} & set(columns)) and set(columns) <= {*COLUMNS, *IGNORED}


def parse(record: Record, currency: str) -> Row:
    """Raises Rejected."""
    cells = record.values
    if cells.get("currency", "") not in ("", currency):
        raise Rejected([Problem(record.number, "currency", f"prices here are in {currency}")])
    values: dict[str, Any] = {name: cells[name] for name in NEVER_EMPTY if cells.get(name)}
    values |= {name: cells[name] or None for name in NULLABLE if name in cells}
    for name in LISTS:
        if name in cells:
            values[name] = [part.strip() for part in cells[name].split(LIST_SEPARATOR) if part.strip()]
    return Row.parse(record.number, values)
