"""How sales went, from the daily sums: what it costs depends on the days asked for, not on the orders there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import ColumnElement, CompoundSelect, func, select, union_all
from sqlalchemy.orm import Session

from order_service.domain.totals import ZERO
from order_service.models import Book, DailyBookSales, DailyCancellations, DailySales, MonthlyBookSales, OrderItem

_COUNTED = ("orders", "units", "revenue", "refunded", "costed", "cost")
DEFAULT_CURRENCY = "USD"


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days in UTC, `first` and `last` included."""

    first: date
    last: date

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def before(self) -> Period:
        """As many days right before it."""
        return Period(self.first - timedelta(days=self.days), self.first - timedelta(days=1))


def currency(session: Session) -> str:
    """The one that was sold in last."""
    sold = select(DailySales.currency).where(DailySales.orders > 0)  # a day may have nothing but refunds
    last = sold.order_by(DailySales.day.desc(), DailySales.orders.desc()).limit(1)
    return session.scalar(last) or DEFAULT_CURRENCY


def summary(session: Session, period: Period, currency: str) -> dict[str, Any]:
    """The period's sums beside those of the period before it, and why orders were called off."""
    now, before = (_figures(session, each, currency) for each in (period, period.before))
    return {
        **now,
        "currency": currency,
        "from": period.first,
        "to": period.last,
        "previous": before | {"from": period.before.first, "to": period.before.last},
        "change": {name: _growth(before[name], now[name]) for name in ("revenue", "orders", "units")},
        "cancellations": _cancellations(session, period, currency),
    }


def _figures(session: Session, period: Period, currency: str) -> dict[str, Any]:
    sums = [func.coalesce(func.sum(getattr(DailySales, name)), 0).label(name) for name in _COUNTED]
    row = session.execute(select(*sums).where(*_within(DailySales, period, currency))).one()
    return _derived(dict(row._mapping))


def _derived(sums: dict[str, Any]) -> dict[str, Any]:
    """Margin is of what its cost is known of; `costed_revenue` tells how much that is."""
    revenue, costed = Decimal(sums["revenue"]), Decimal(sums["costed"])
    return {
        "orders": int(sums["orders"]),
        "units": int(sums["units"]),
        "revenue": _cents(revenue),
        "refunded": _cents(Decimal(sums["refunded"])),
        "net_revenue": _cents(revenue - sums["refunded"]),
        "average_order": _cents(revenue / sums["orders"]) if sums["orders"] else ZERO,
        "costed_revenue": _cents(costed),
        "margin": _cents(costed - sums["cost"]),
        "margin_percent": _percent(costed - sums["cost"], costed),
    }


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"))


def _percent(part: Decimal, whole: Decimal) -> float | None:
    return round(float(part / whole) * 100, 1) if whole else None


def _growth(before: Any, now: Any) -> float | None:
    """In percent; None where there was nothing to grow from."""
    return _percent(Decimal(now) - Decimal(before), Decimal(before))


def _cancellations(session: Session, period: Period, currency: str) -> list[dict[str, Any]]:
    kind = DailyCancellations
    counted = func.sum(kind.orders).label("orders")
    found = select(kind.reason, counted, func.sum(kind.amount).label("amount"))
    found = found.where(*_within(kind, period, currency)).group_by(kind.reason).order_by(counted.desc(), kind.reason)
    return [{"reason": row.reason, "orders": int(row.orders), "amount": row.amount} for row in session.execute(found)]


def by_day(session: Session, period: Period, currency: str) -> list[dict[str, Any]]:
    """Every day of the period, those without a sale too."""
    columns = [getattr(DailySales, name) for name in _COUNTED]
    found = select(DailySales.day, *columns).where(*_within(DailySales, period, currency))
    known = {row.day: {name: getattr(row, name) for name in _COUNTED} for row in session.execute(found)}
    nothing = dict.fromkeys(_COUNTED, 0)
    days = (period.first + timedelta(days=number) for number in range(period.days))
    return [{"day": day, **_derived(known.get(day, nothing))} for day in days]


def top_books(
    session: Session, period: Period, currency: str, *, by: Literal["revenue", "quantity"], limit: int
) -> list[dict[str, Any]]:
    """The books that sold best; revenue is what their lines came to, before discounts."""
    parts = _book_sales(period, currency).subquery()
    quantity, revenue = (func.sum(parts.c[name]).label(name) for name in ("quantity", "revenue"))
    best = select(parts.c.book_id, quantity, revenue).group_by(parts.c.book_id)
    order = (revenue if by == "revenue" else quantity).desc()
    rows = session.execute(best.order_by(order, parts.c.book_id).limit(limit))
    found = rows.all()
    titles = _titles(session, [row.book_id for row in found])
    return [
        {"book_id": row.book_id, "title": titles[row.book_id], "quantity": int(row.quantity), "revenue": row.revenue}
        for row in found
    ]


def _book_sales(period: Period, currency: str) -> CompoundSelect[Any]:
    """By whole months where the period has them, and by day before and after."""
    start, end = _month(period.first, up=True), _month(period.last + timedelta(days=1))
    if start >= end:
        start = end = period.last + timedelta(days=1)
    months, days = MonthlyBookSales, DailyBookSales
    whole = select(months.book_id, months.quantity, months.revenue)
    whole = whole.where(months.currency == currency, months.month >= start, months.month < end)
    rest = select(days.book_id, days.quantity, days.revenue).where(days.currency == currency)
    head = rest.where(days.day >= period.first, days.day < start)
    return union_all(whole, head, rest.where(days.day >= end, days.day <= period.last))


def _month(day: date, *, up: bool = False) -> date:
    """The first of the day's month; with `up`, of the next one unless the day is a first itself."""
    first = day.replace(day=1)
    return (first + timedelta(days=32)).replace(day=1) if up and first != day else first


def _titles(session: Session, ids: Sequence[Any]) -> dict[Any, str]:
    """As they are called now; a book that is gone, as it was called when it was sold."""
    known = select(Book.book_id, Book.title).where(Book.book_id.in_(ids))
    titles = {row.book_id: row.title for row in session.execute(known)}
    for book_id in set(ids) - set(titles):
        sold = select(OrderItem.title).where(OrderItem.book_id == book_id).limit(1)
        titles[book_id] = session.scalar(sold) or ""
    return titles


def _within(kind: Any, period: Period, currency: str) -> tuple[ColumnElement[bool], ...]:
    return (kind.currency == currency, kind.day.between(period.first, period.last))
