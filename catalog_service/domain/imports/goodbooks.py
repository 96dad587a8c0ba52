"""The goodbooks-10k dialect, whose numbers went through a spreadsheet.

ISBN-10s lost their leading zeros, ISBN-13s were rounded to twelve digits, and years became floats. An ISBN-10
proves itself by its check digit; the rounded ISBN-13 still has eleven or twelve good digits, enough to
confirm an ISBN-10, not to make one up.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any

from catalog_service.domain import isbn
from catalog_service.domain.imports.draft import Problem, Row
from catalog_service.domain.languages import NO_ONE_LANGUAGE, to_iso639
from catalog_service.domain.text import fingerprint

NEEDED = frozenset({"goodreads_book_id", "isbn", "authors", "original_publication_year", "title", "language_code"})
DEFAULT_STOCK = 20
LONGEST_TITLE = 1000
CHEAPEST, PRICES = 6, 19
NAME_SUFFIXES = frozenset({"jr.", "jr", "sr.", "sr", "ii", "iii", "iv", "m.d.", "ph.d.", "esq."})
SERIES_IN_TITLE = re.compile(r"^(?P<title>.*?\S)\s*\((?P<series>(?:[^()]|\([^()]*\))*#[^()]*)\)$", re.DOTALL)
SERIES = re.compile(r"^(?P<name>[^#;]*[^#;,\s]),?\s*#\s*(?P<position>\d{1,4}(?:\.\d{1,2})?)(?P<rest>.*)$", re.DOTALL)
SEVERAL_VOLUMES = re.compile(r"^\s*(?:[-–&]|,\s*#?\d)")  # noqa: RUF001 - the dash is in the data


def understands(columns: list[str]) -> bool:
    return set(columns) >= NEEDED


def parse(number: int, cells: dict[str, str], _currency: str) -> Row:
    """Raises Rejected. Empty cells say nothing, so that what was filled in by hand stays."""
    code = f"GR-{cells['goodreads_book_id']}"
    doubts: list[Problem] = []
    values: dict[str, Any] = {"code": code, "authors": split_authors(cells["authors"])}
    values |= split_title(cells["title"] or cells.get("original_title", ""))
    for name, found in (
        ("isbn", _isbn(cells, number, doubts)),
        ("language", _language(cells["language_code"], number, doubts)),
        ("published_year", _year(cells["original_publication_year"], number, doubts)),
    ):
        if found is not None:
            values[name] = found
    row = Row.parse(number, values, {"price": plausible_price(code), "stock": DEFAULT_STOCK})
    row.problems += doubts
    return row


def split_title(title: str) -> dict[str, Any]:
    """Title and series of "The Hunger Games (The Hunger Games, #1)"; of several series the first is taken.

    A volume that holds several ("#1-3") has no one position.
    """
    outer = SERIES_IN_TITLE.match(title) if len(title) <= LONGEST_TITLE else None
    inner = SERIES.match(outer["series"].strip()) if outer else None
    if not outer or not inner:
        return {"title": title}
    position = None if SEVERAL_VOLUMES.match(inner["rest"]) else Decimal(inner["position"])
    return {"title": outer["title"], "series_name": inner["name"], "series_position": position}


def split_authors(text: str) -> list[str]:
    """Names between commas; "Jr." and the like belong to the name before them."""
    names: list[str] = []
    for part in filter(None, map(str.strip, text.split(","))):
        if names and part.lower() in NAME_SUFFIXES:
            names[-1] += f", {part}"
        else:
            names.append(part)
    return list(dict.fromkeys(names))


def plausible_price(code: str) -> Decimal:
    """A price for a book that came without one: the same for the same book, in whole units less a cent."""
    return Decimal(f"{CHEAPEST + int(fingerprint(code, 8), 16) % PRICES}.99")


def _isbn(cells: dict[str, str], number: int, doubts: list[Problem]) -> str | None:
    """The ISBN-13, or None with a doubt that says why there is none."""
    text, rounded = cells["isbn"].upper(), _whole(cells.get("isbn13", ""))
    if not text:
        if rounded:
            doubts.append(Problem(number, "isbn13", "was rounded and stands alone: imported without ISBN", False))
        return None
    ten = text.zfill(10)
    if found := isbn.find_isbn13(ten) if len(text) <= 10 else isbn.find_isbn13(text):
        if rounded and not _rounds_to(found, rounded):
            doubts.append(Problem(number, "isbn13", f"names another book than the ISBN {found}, which is kept", False))
        return found
    if len(ten) == 10 and ten[:9].isdecimal() and rounded and _rounds_to(repaired := isbn.from_stem(ten[:9]), rounded):
        doubts.append(Problem(number, "isbn", f"has a wrong check digit; isbn13 confirms {repaired}", False))
        return repaired
    doubts.append(Problem(number, "isbn", f"{text} has a wrong check digit: imported without ISBN", False))
    return None


def _rounds_to(isbn13: str, rounded: int) -> bool:
    """Whether the number was `isbn13` before a spreadsheet kept twelve of its digits."""
    return abs(int(isbn13) - rounded) <= 5


def _whole(text: str) -> int | None:
    """The integer that a float's text means, read as decimal digits."""
    try:
        value = Decimal(text)
        return int(value) if value.is_finite() and value == int(value) else None
    except (InvalidOperation, OverflowError):
        return None


def _language(text: str, number: int, doubts: list[Problem]) -> str | None:
    if not text or text.lower() in NO_ONE_LANGUAGE:
        return None
    try:
        return to_iso639(text)
    except ValueError as error:
        doubts.append(Problem(number, "language_code", f"{text} {error}: imported without language", False))
        return None


def _year(text: str, number: int, doubts: list[Problem]) -> int | None:
    """The year, negative before our era (720 BCE is -720, as catalogues write it)."""
    if not text:
        return None
    year = _whole(text)
    if not year or not -5000 <= year <= 3000:
        message = f"{text} is not a year: imported without one"
        doubts.append(Problem(number, "original_publication_year", message, False))
        return None
    return year
