"""Keyset pagination: the next page starts after the last row's sort values, so page 1,000 costs what page 1 does."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, Row, Select, and_, func, literal, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.types import TypeEngine

from common.api import PageQuery
from common.errors import Invalid


@dataclass(frozen=True, slots=True)
class Sort:
    """One sort key: an expression that is never NULL. The last key of a list must be unique."""

    column: ColumnElement[Any] | InstrumentedAttribute[Any]
    name: str
    descending: bool = False


Batch = Callable[[Sequence[Any] | None, int], Select[Any]]
"""From the sort values of a row (or None) and a number to so many rows after it, as `keyset` has them."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows for which a batch is found otherwise than by cutting the statement that has all of them."""

    all: Select[Any]
    batch: Batch


def listing(statement: Select[Any], by: Sequence[Sort], *, part_of: Select[Any] | None = None) -> Listing:
    """The rows of a statement, which may be a part of those that there are in all."""
    whole = statement if part_of is None else part_of
    return Listing(whole, lambda after, limit: keyset(statement, by, after, limit))


def paginate(
    session: Session,
    statement: Select[Any] | Listing,
    *,
    by: Sequence[Sort],
    query: PageQuery,
    row: Callable[[Row[Any]], Any],
) -> dict[str, Any]:
    """One page of `statement` as `{"items", "next_cursor"}`, and `total` when the query asks for it.

    `row` turns a row into an item. Raises Invalid for a cursor that is not one of this list and order.
    """
    wanted = statement if isinstance(statement, Listing) else listing(statement, by)
    after = _decode(by, query.cursor) if query.cursor else None
    found = session.execute(wanted.batch(after, query.limit + 1)).all()
    items, more = found[: query.limit], len(found) > query.limit
    page: dict[str, Any] = {
        "items": [row(each) for each in items],
        "next_cursor": cursor_at(by, sort_values(by, items[-1])) if more else None,
    }
    if query.total:
        counted = wanted.all.order_by(None).with_only_columns(literal(1), maintain_column_froms=True)
        page["total"] = session.scalar(select(func.count()).select_from(counted.subquery()))
    return page


def cursor_at(by: Sequence[Sort], values: Sequence[Any]) -> str:
    """The cursor of the rows behind these sort values."""
    document = [_order_name(by), *(_plain(value) for value in values)]
    return base64.urlsafe_b64encode(orjson.dumps(document)).rstrip(b"=").decode()


def is_cursor_of(by: Sequence[Sort], cursor: str) -> bool:
    try:
        _decode(by, cursor)
    except Invalid:
        return False
    return True


def keyset(statement: Select[Any], by: Sequence[Sort], after: Sequence[Any] | None, limit: int) -> Select[Any]:
    """The next so many rows after `after`, the sort values of one; they are columns as well, for `sort_values`."""
    keys = [sort.column.label(f"cursor_{sort.name}") for sort in by]
    ordered = statement.add_columns(*keys).order_by(
        *(sort.column.desc() if sort.descending else sort.column.asc() for sort in by)
    )
    if after is not None:
        ordered = ordered.where(_after(by, after))
    return ordered.limit(limit)


def sort_values(by: Sequence[Sort], row: Row[Any]) -> list[Any]:
    return [getattr(row, f"cursor_{sort.name}") for sort in by]


def _after(by: Sequence[Sort], values: Sequence[Any]) -> ColumnElement[bool]:
    """Rows behind `values` in this order. One direction: a row comparison, which an index can answer."""
    bound = [literal(value, sort.column.type) for sort, value in zip(by, values, strict=True)]
    if len({sort.descending for sort in by}) == 1:
        left, right = func.row(*(sort.column for sort in by)), func.row(*bound)
        return left < right if by[0].descending else left > right
    alternatives = []
    for index, sort in enumerate(by):
        ties = [by[i].column == bound[i] for i in range(index)]
        beyond = sort.column < bound[index] if sort.descending else sort.column > bound[index]
        alternatives.append(and_(*ties, beyond))
    return or_(*alternatives)


def _decode(by: Sequence[Sort], cursor: str) -> list[Any]:
    wrong = Invalid.field("cursor", "is not a cursor of this list in this order")
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        document = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        name, *values = document
        if name != _order_name(by):
            raise wrong
        return [_typed(sort.column.type, value) for sort, value in zip(by, values, strict=True)]
    except (ValueError, TypeError, ArithmeticError, binascii.Error):
        raise wrong from None


def _order_name(by: Sequence[Sort]) -> str:
    return ",".join(f"-{sort.name}" if sort.descending else sort.name for sort in by)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal | UUID):
        return str(value)
    return value


def _typed(column_type: TypeEngine[Any], value: Any) -> Any:
    """The cursor's value as the column's Python type; raises for one that cannot be it."""
    expected = column_type.python_type
    if expected in (UUID, Decimal) and isinstance(value, str):
        parsed = expected(value)
        if isinstance(parsed, Decimal) and not parsed.is_finite():
            raise ValueError(value)
        return parsed
    if expected is datetime and isinstance(value, str):
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError(value)
        return moment
    if expected is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if expected is int and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return value
    if expected is str and isinstance(value, str) and "\x00" not in value:
        return value
    raise ValueError(value)
