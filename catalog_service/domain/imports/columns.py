"""Our own columns, as they are exported: an empty cell empties a field that may be empty, and else says nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from catalog_service.domain.imports.draft import Problem, Rejected, Row
from catalog_service.domain.imports.reading import WHITE_SPACE
from common.spreadsheets import as_text

LIST_SEPARATOR = ";"
LISTS = ("authors", "genres")
TEXTS = ("title", "subtitle", "description", "publisher", "series_name", *LISTS)
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
FOR_NEW_ONES = ("is_active",)
COLUMNS = (*NEVER_EMPTY, *NULLABLE, *LISTS, *FOR_NEW_ONES, "currency")
INFORMATIVE = ("id", "on_hand", "reserved", "available", "rating_average", "rating_count")
IGNORED = (*INFORMATIVE, "created_at", "updated_at", "cover_url")
TRUE, FALSE = ("", "true", "yes", "1"), ("false", "no", "0")


def understands(columns: list[str]) -> bool:
    return bool({"code", "isbn", "title"} & set(columns)) and set(columns) <= {*COLUMNS, *IGNORED}


def parse(number: int, cells: dict[str, str], currency: str) -> Row:
    """Raises Rejected."""
    if cells.get("currency", "") not in ("", currency):
        raise Rejected([Problem(number, "currency", f"prices here are in {currency}")])
    cells = cells | {name: as_text(cells[name]) for name in TEXTS if name in cells}
    values: dict[str, Any] = {name: cells[name] for name in NEVER_EMPTY if cells.get(name)}
    values |= {name: cells[name] or None for name in NULLABLE if name in cells}
    values |= {name: split(cells[name]) for name in LISTS if name in cells}
    defaults, doubts = _on_sale(number, cells.get("is_active", ""))
    row = Row.parse(number, values, defaults)
    row.problems += doubts
    return row


def _on_sale(number: int, cell: str) -> tuple[dict[str, bool], list[Problem]]:
    """What counts for a book that is new: one that is there is taken off sale, and put on sale again, by hand."""
    if cell.lower() in TRUE:
        return {}, []
    doubt = Problem(number, "is_active", "is neither true nor false: a new book does not go on sale", False)
    return {"is_active": False}, [] if cell.lower() in FALSE else [doubt]


def join(names: Iterable[str]) -> str:
    """Names in one cell; a separator that belongs to a name gets a backslash, and so does a backslash."""
    return LIST_SEPARATOR.join(name.replace("\\", "\\\\").replace(LIST_SEPARATOR, "\\;") for name in names)


def split(cell: str) -> list[str]:
    parts = re.findall(r"(?:\\[\\;]|[^;])+", cell)
    return [name for part in parts if (name := re.sub(r"\\([\\;])", r"\1", part).strip(WHITE_SPACE))]
