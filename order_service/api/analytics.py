"""How sales go, for the staff."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

from flask import Blueprint
from pydantic import Field, PlainSerializer, StringConstraints

from common.api import Day, Request, Response, accepts, known_as, returns
from common.auth import requires
from common.db import session, utcnow
from common.errors import Invalid
from order_service.domain import analytics
from order_service.domain.analytics import Period

api = Blueprint("analytics", __name__, url_prefix="/api/v1/admin/analytics")

DEFAULT_DAYS = 30
MOST_DAYS = 3660
Sum = Annotated[Decimal, PlainSerializer(str, return_type=str, when_used="json")]


class PeriodQuery(Request):
    """Days in UTC, both included; the last 30 when left out. `currency` is the one sold in last when left out."""

    from_: Day | None = Field(None, alias="from")
    to: Day | None = None
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] | None = None


class TopQuery(PeriodQuery):
    by: Literal["revenue", "quantity"] = "revenue"
    limit: int = Field(10, ge=1, le=100)


class FiguresOut(Response):
    orders: int
    units: int
    revenue: Sum
    refunded: Sum
    net_revenue: Sum
    average_order: Sum
    costed_revenue: Sum = Field(description="of the lines whose cost is known, without shipping, tax and discounts")
    margin: Sum
    margin_percent: float | None


class CancellationsOut(Response):
    reason: str
    orders: int
    amount: Sum


class PreviousOut(FiguresOut):
    from_: date = Field(alias="from")
    to: date


class SummaryOut(PreviousOut):
    currency: str
    previous: PreviousOut
    change: dict[str, float | None] = Field(description="in percent; null where there was nothing before")
    cancellations: list[CancellationsOut]


class DayOut(FiguresOut):
    day: date


class DaysOut(Response):
    currency: str
    items: list[DayOut]


class TopBookOut(Response):
    book_id: str
    title: str
    quantity: int
    revenue: Sum


class TopBooksOut(Response):
    currency: str
    items: list[TopBookOut]


@api.get("/sales/summary")
@requires("orders:manage")
@accepts(query=PeriodQuery)
@returns(SummaryOut)
@known_as("getSalesSummary")
def summary(query: PeriodQuery) -> dict[str, Any]:
    """Orders paid in the period, against as many days before it; and why others were called off."""
    return analytics.summary(session, _period(query), _currency(query))


@api.get("/sales/by-day")
@requires("orders:manage")
@accepts(query=PeriodQuery)
@returns(DaysOut)
@known_as("getSalesByDay")
def by_day(query: PeriodQuery) -> dict[str, Any]:
    """Every day of the period."""
    currency = _currency(query)
    return {"currency": currency, "items": analytics.by_day(session, _period(query), currency)}


@api.get("/sales/top-books")
@requires("orders:manage")
@accepts(query=TopQuery)
@returns(TopBooksOut)
@known_as("listTopBooks")
def top_books(query: TopQuery) -> dict[str, Any]:
    """What sold best in the period."""
    currency = _currency(query)
    found = analytics.top_books(session, _period(query), currency, by=query.by, limit=query.limit)
    return {"currency": currency, "items": found}


def _currency(query: PeriodQuery) -> str:
    return query.currency or analytics.currency(session)


def _period(query: PeriodQuery) -> Period:
    last = _day(query.to) or utcnow().date()
    try:
        period = Period(_day(query.from_) or last - timedelta(days=DEFAULT_DAYS - 1), last)
        if not 1 <= period.days <= MOST_DAYS:
            raise Invalid.field("from", f"must not be after `to`, and at most {MOST_DAYS} days before it")
        _ = period.before.first, period.last + timedelta(days=32)
    except OverflowError:
        raise Invalid.field("from", "is too long ago") from None
    return period


def _day(given: Day | None) -> date | None:
    """A moment means the day that it is in."""
    return given.date() if isinstance(given, datetime) else given
