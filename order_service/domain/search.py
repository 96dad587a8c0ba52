"""Which orders the staff mean by a few characters: what these may name is little, and is looked up first.

Titles that were sold, customers and numbers have indexes of their own. The orders of each that is meant are read in the
order of the list and no further than the page goes, so that a page costs what it shows and not what there is. Where too
many are meant, a good part of all orders is: then the list itself is read until the page is full.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, TableValuedAlias, Uuid, cast, false, func, or_, select, true, union_all
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute, Session

from common.db import utcnow
from common.pagination import Listing, Sort, keyset, listing
from order_service.domain.listing import NEWEST_FIRST
from order_service.models import BookOrder, Customer, Order, OrderItem, SoldTitle

FEW_NUMBERS, FEW_CUSTOMERS, FEW_BOOKS = 1_000, 4_000, 1_000
"""So many are looked up one by one: a customer has fewer orders than a book is in."""
LEAST_WITHIN = 3
"""Fewer characters than this are within nearly everything, and are looked for at the beginning alone."""
_BEGINNING = re.compile(r"\d{4}-\d+")
_RUNNING_PART = re.compile(r"\d{1,12}")

_ORDER, _BOOK_ORDER = Order.__table__.c, BookOrder.__table__.c
_NEWEST_FIRST_OF_A_BOOK = (
    Sort(_BOOK_ORDER.placed_at, "placed_at", descending=True),
    Sort(_BOOK_ORDER.order_id, "id", descending=True),
)


@dataclass(frozen=True, slots=True)
class _Meant:
    orders: Sequence[UUID] = ()
    customers: Sequence[UUID] = ()
    books: Sequence[UUID] = ()

    @property
    def is_few(self) -> bool:
        return len(self.orders) <= FEW_NUMBERS and len(self.customers) <= FEW_CUSTOMERS and len(self.books) <= FEW_BOOKS


def orders(session: Session, wanted: Select[Any], q: str, *, of_one_user: bool = False) -> Listing:
    """Those of `wanted` that `q` means, newest first; the few orders `of_one_user` are simply read.

    A whole number means that order and a whole mail address that customer, and nothing else. Otherwise `q` may be the
    beginning or the running part of a number, or stand in a title, a name or an address.
    """
    meant = _exact(session, q)
    if meant:
        return _of(meant, wanted)
    numbered = _numbered(session, q)
    if not of_one_user and (meant := _meant(session, q, numbered)).is_few:
        return _of(meant, wanted)
    return listing(wanted.where(or_(numbered, _has_title(q), _is_by(q))), NEWEST_FIRST)


def _exact(session: Session, q: str) -> _Meant | None:
    if found := session.scalars(select(Order.id).where(Order.number == q)).all():
        return _Meant(orders=found)
    if "@" in q and (
        found := session.scalars(select(Customer.user_id).where(func.lower(Customer.email) == func.lower(q))).all()
    ):
        return _Meant(customers=found)
    return None


def _meant(session: Session, q: str, numbered: ColumnElement[bool]) -> _Meant:
    def first(most: int, of: InstrumentedAttribute[UUID], where: ColumnElement[bool]) -> Sequence[UUID]:
        """One more than `most` tells that there are too many."""
        return session.scalars(select(of).where(where).limit(most + 1)).all()

    people = or_(_holds(Customer.name, q), _holds(Customer.email, q))
    return _Meant(
        orders=first(FEW_NUMBERS, Order.id, numbered),
        customers=first(FEW_CUSTOMERS, Customer.user_id, people),
        books=first(FEW_BOOKS, SoldTitle.book_id, _holds(SoldTitle.title, q)),
    )


def _numbered(session: Session, q: str) -> ColumnElement[bool]:
    """By the beginning of a number, longer than a year; or by its running part in any year in which we sold."""
    if _BEGINNING.fullmatch(q):
        return Order.number.startswith(q)
    oldest = session.scalar(select(func.min(Order.placed_at))) if _RUNNING_PART.fullmatch(q) else None
    if oldest is None:
        return false()
    years = range(oldest.year, utcnow().year + 1)
    return Order.number.in_([f"{year}-{int(q):06d}" for year in years])


def _holds(column: InstrumentedAttribute[str], q: str) -> ColumnElement[bool]:
    if len(q) >= LEAST_WITHIN:
        return column.icontains(q, autoescape=True)
    return func.lower(column).startswith(func.lower(_literally(q)), escape="/")


def _literally(q: str) -> str:
    return re.sub(r"([/%_])", r"/\1", q)


def _has_title(q: str) -> ColumnElement[bool]:
    """As a sum over the order's lines: an EXISTS may be answered by reading the lines of all orders."""
    found = select(func.bool_or(_holds(OrderItem.title, q))).where(OrderItem.order_id == _ORDER.id)
    return found.correlate(Order).scalar_subquery()


def _is_by(q: str) -> ColumnElement[bool]:
    found = select(func.bool_or(or_(_holds(Customer.name, q), _holds(Customer.email, q))))
    return found.where(Customer.user_id == _ORDER.user_id).correlate(Order).scalar_subquery()


def _of(meant: _Meant, wanted: Select[Any]) -> Listing:
    ids = wanted.with_only_columns(_ORDER.id)

    def batch(after: Sequence[Any] | None, limit: int) -> Select[Any]:
        nearest = list(_nearest(meant, ids, after, limit))
        among = _ORDER.id.in_(union_all(*nearest)) if nearest else false()
        return keyset(wanted.where(among), NEWEST_FIRST, after, limit)

    return Listing(wanted.where(_ORDER.id.in_(_all(meant))), batch)


def _nearest(meant: _Meant, ids: Select[Any], after: Sequence[Any] | None, limit: int) -> Iterator[Select[Any]]:
    """So many orders after a row, of each that is meant."""
    if meant.orders:
        yield ids.where(_ORDER.id.in_(meant.orders))
    if meant.customers:
        each = _each(meant.customers)
        of_one = keyset(ids.where(_ORDER.user_id == each.c.id), NEWEST_FIRST, after, limit).lateral()
        yield select(of_one.c.id).select_from(each.join(of_one, true()))
    if meant.books:
        each = _each(meant.books)
        with_one = ids.where(_BOOK_ORDER.book_id == each.c.id, _BOOK_ORDER.order_id == _ORDER.id)
        of_one = keyset(with_one, _NEWEST_FIRST_OF_A_BOOK, after, limit).lateral()
        yield select(of_one.c.id).select_from(each.join(of_one, true()))


def _each(ids: Sequence[UUID]) -> TableValuedAlias:
    return func.unnest(cast(list(set(ids)), ARRAY(Uuid))).table_valued("id").render_derived()


def _all(meant: _Meant) -> Any:
    return union_all(
        select(_ORDER.id).where(_ORDER.id.in_(meant.orders)),
        select(_ORDER.id).where(_ORDER.user_id.in_(meant.customers)),
        select(_BOOK_ORDER.order_id).where(_BOOK_ORDER.book_id.in_(meant.books)),
    )
