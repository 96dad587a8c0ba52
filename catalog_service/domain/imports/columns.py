"""Our own columns, as they are exported: an empty cell empties a field that may be empty, and else says nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from catalog_service.domain.imports.draft import Problem, Rejected, Row
from catalog_service.domain.imports.reading import WHITE_SPACE

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
COLUMNS = (*NEVER_EMPTY, *NULLABLE, *LISTS, "currency")
INFORMATIVE = ("id", "on_hand", "reserved", "available", "rating_average", "rating_count", "is_active")
IGNORED = (*INFORMATIVE, "created_at", "updated_at", "cover_url")

# What a spreadsheet would calculate, also in the wide forms of East Asian keyboards.
FORMULA = re.compile("'*[=+\\-@\t\r\uff1d\uff0b\uff0d\uff20]")


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
    return Row.parse(number, values)


def as_cell(text: str) -> str:
    """The text with an apostrophe in front where a spreadsheet would see a formula; `as_text` takes it off again."""
    return f"'{text}" if FORMULA.match(text) else text


def as_text(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def join(names: Iterable[str]) -> str:
    """Names in one cell; a separator that belongs to a name gets a backslash, and so does a backslash."""
    return LIST_SEPARATOR.join(name.replace("\\", "\\\\").replace(LIST_SEPARATOR, "\\;") for name in names)


def split(cell: str) -> list[str]:
    parts = re.findall(r"(?:\\[\\;]|[^;])+", cell)
    return [name for part in parts if (name := re.sub(r"\\([\\;])", r"\1", part).strip(WHITE_SPACE))]
