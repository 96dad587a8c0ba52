"""Books as CSV, in our own columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from catalog_service.domain.imports.columns import LISTS, TEXTS, join
from common.spreadsheets import as_cell

WRITTEN = (
    "code",
    "isbn",
    "title",
    "subtitle",
    "authors",
    "genres",
    "publisher",
    "series_name",
    "series_position",
    "language",
    "format",
    "pages",
    "published_year",
    "price",
    "currency",
    "cost_price",
    "low_stock_threshold",
    "description",
    "on_hand",
    "reserved",
    "is_active",
)


def write(books: Iterable[Any]) -> Iterator[bytes]:
    """Each book as a line; importing them again changes nothing."""
    return _lines(books, as_cell)


def write_raw(books: Iterable[Any]) -> Iterator[bytes]:
    """The same with texts as they are: for programs, not for spreadsheets."""
    return _lines(books, str)


def _lines(books: Iterable[Any], as_written: Callable[[str], str]) -> Iterator[bytes]:
    yield _line(WRITTEN)
    for book in books:
        yield _line([_cell(name, getattr(book, name), as_written) for name in WRITTEN])


def _line(cells: Iterable[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()


def _cell(name: str, value: Any, as_written: Callable[[str], str]) -> str:
    if value is None:
        return ""
    if name in LISTS:
        return as_written(join(value))
    if name in TEXTS:
        return as_written(value)
    return str(value)
