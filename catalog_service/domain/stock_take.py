"""A stock take: a file of what was counted on the shelves becomes corrections in the ledger.

What is counted is absolute, so that the same file sent twice changes nothing the second time.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog_service.domain import ledger
from catalog_service.domain.fields import MAX_STOCK, Code
from catalog_service.domain.imports.csv_reader import delimiter_of
from catalog_service.domain.isbn import find_isbn13
from catalog_service.domain.ledger import AnyRow, Movement
from catalog_service.models import Book, MovementKind
from common.errors import Invalid

KEYS = ("code", "isbn")
COLUMNS = {*KEYS, "on_hand"}
_CODE: TypeAdapter[str] = TypeAdapter(Code)


@dataclass(frozen=True, slots=True)
class Counted:
    """A row of the file, as a spreadsheet numbers it; the book is named by `key`, which is code or isbn."""

    row: int
    key: str
    reference: str
    on_hand: int


@dataclass(frozen=True, slots=True)
class Refused:
    row: int
    message: str


@dataclass(frozen=True, slots=True)
class Difference:
    """`before` was on hand by the books, `counted` on the shelves."""

    row: int
    book_id: UUID
    code: str
    before: int
    counted: int

    @property
    def difference(self) -> int:
        return self.counted - self.before


@dataclass(slots=True)
class Outcome:
    rows: int = 0
    unchanged: int = 0
    differences: list[Difference] = field(default_factory=list)
    errors: list[Refused] = field(default_factory=list)
    seen: dict[UUID, int] = field(default_factory=dict, repr=False)

    def refuse(self, row: int, message: str) -> None:
        self.errors.append(Refused(row, message))


def read(lines: Iterable[str]) -> Iterator[Counted | Refused]:
    """The rows of a CSV file with the columns on_hand and code or isbn. Raises Invalid for another kind of file."""
    lines = iter(lines)
    header = next(lines, "")
    reader = csv.DictReader(chain([header], lines), delimiter=delimiter_of(header), strict=True)
    try:
        _require_columns(reader.fieldnames or [])
        for values in reader:
            yield _row(reader.line_num, values)
    except csv.Error as error:
        raise Invalid.field("file", f"line {reader.line_num} is not CSV: {error}") from None


def _require_columns(names: Iterable[str]) -> None:
    found = set(names)
    if "on_hand" not in found or not found & set(KEYS) or not found <= COLUMNS:
        raise Invalid.field("file", "needs the columns on_hand and code or isbn, and no others")


def _row(row: int, values: dict[str, Any]) -> Counted | Refused:
    if None in values:
        return Refused(row, "has more values than there are columns")
    given = {name: (value or "").strip() for name, value in values.items()}
    count = given["on_hand"]
    if not (count.isascii() and count.isdecimal()) or len(count) > len(str(MAX_STOCK)) or int(count) > MAX_STOCK:
        return Refused(row, f"on_hand is not a number from 0 to {MAX_STOCK}")
    if given.get("code"):
        return _by_code(row, given["code"], int(count))
    isbn = find_isbn13(given.get("isbn", ""))
    return Counted(row, "isbn", isbn, int(count)) if isbn else Refused(row, "names no book by a code or an ISBN")


def _by_code(row: int, code: str, on_hand: int) -> Counted | Refused:
    try:
        return Counted(row, "code", _CODE.validate_python(code), on_hand)
    except ValidationError:
        return Refused(row, "has a code that no book can have")


def take(
    session: Session,
    rows: Iterable[Counted | Refused],
    outcome: Outcome,
    *,
    actor: str,
    reason: str,
    dry_run: bool,
) -> None:
    """Enter what differs, one movement a book, and note in `outcome` what became of each row.

    A row that says less than is reserved for orders is refused; so is a second one of the same book.
    """
    counted = list(_readable(rows, outcome))
    ids = _ids(session, counted)
    stock = ledger.lock(session, ids.values())
    found = []
    for each in counted:
        book_id = ids.get((each.key, each.reference))
        if book_id is None:
            outcome.refuse(each.row, f"there is no book with the {each.key} {each.reference}")
        elif difference := _compared(each, stock[book_id], outcome):
            found.append(difference)
    outcome.differences += found
    if not dry_run:
        corrected = MovementKind.CORRECTED
        ledger.post(session, [Movement(d.book_id, corrected, d.difference, actor, reason) for d in found])


def _readable(rows: Iterable[Counted | Refused], outcome: Outcome) -> Iterator[Counted]:
    for row in rows:
        outcome.rows += 1
        if isinstance(row, Counted):
            yield row
        else:
            outcome.errors.append(row)


def _ids(session: Session, counted: Iterable[Counted]) -> dict[tuple[str, str], UUID]:
    """The books by what names them."""
    ids: dict[tuple[str, str], UUID] = {}
    for key in KEYS:
        column = Book.__table__.c[key]
        wanted = {each.reference for each in counted if each.key == key}
        found = session.execute(select(column, Book.id).where(column.in_(wanted)))
        ids |= {(key, reference): id for reference, id in found}
    return ids


def _compared(counted: Counted, stock: AnyRow, outcome: Outcome) -> Difference | None:
    first = outcome.seen.setdefault(stock.id, counted.row)
    if first != counted.row:
        outcome.refuse(counted.row, f"is about the same book as row {first}")
    elif counted.on_hand < stock.reserved:
        outcome.refuse(counted.row, f"{stock.reserved} are reserved for orders")
    elif counted.on_hand == stock.on_hand:
        outcome.unchanged += 1
    else:
        return Difference(counted.row, stock.id, stock.code, stock.on_hand, counted.on_hand)
    return None
