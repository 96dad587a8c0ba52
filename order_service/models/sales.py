"""What was sold, given back and called off, day by day (UTC): kept in the transaction of its cause, for the staff."""

from datetime import date
from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, Index, Numeric, String
from sqlalchemy.orm import Mapped, mapped_column

from order_service.models.base import Base, CurrencyCode

Sum = Numeric(16, 2)


class DailySales(Base):
    """Orders by the day they were paid, refunds by the day they were given.

    `costed` is the revenue of the lines whose cost is known, without shipping, tax and discounts; `cost` is that cost.
    """

    __tablename__ = "daily_sales"

    day: Mapped[date] = mapped_column(primary_key=True)
    currency: Mapped[CurrencyCode] = mapped_column(primary_key=True)
    orders: Mapped[int] = mapped_column(BigInteger)
    units: Mapped[int] = mapped_column(BigInteger)
    revenue: Mapped[Decimal] = mapped_column(Sum)
    refunded: Mapped[Decimal] = mapped_column(Sum)
    costed: Mapped[Decimal] = mapped_column(Sum)
    cost: Mapped[Decimal] = mapped_column(Sum)


class DailyBookSales(Base):
    __tablename__ = "daily_book_sales"

    day: Mapped[date] = mapped_column(primary_key=True)
    currency: Mapped[CurrencyCode] = mapped_column(primary_key=True)
    book_id: Mapped[UUID] = mapped_column(primary_key=True)
    quantity: Mapped[int] = mapped_column(BigInteger)
    revenue: Mapped[Decimal] = mapped_column(Sum)

    __table_args__ = (
        Index(
            "ix_daily_book_sales_covering",
            "currency",
            "day",
            postgresql_include=["book_id", "quantity", "revenue"],
        ),
    )


class MonthlyBookSales(Base):
    """The same by month, for long periods: no more rows than books sold in it, however many orders there were."""

    __tablename__ = "monthly_book_sales"

    month: Mapped[date] = mapped_column(primary_key=True)
    currency: Mapped[CurrencyCode] = mapped_column(primary_key=True)
    book_id: Mapped[UUID] = mapped_column(primary_key=True)
    quantity: Mapped[int] = mapped_column(BigInteger)
    revenue: Mapped[Decimal] = mapped_column(Sum)


class DailyCancellations(Base):
    __tablename__ = "daily_cancellations"

    day: Mapped[date] = mapped_column(primary_key=True)
    currency: Mapped[CurrencyCode] = mapped_column(primary_key=True)
    reason: Mapped[str] = mapped_column(String(40), primary_key=True)
    orders: Mapped[int] = mapped_column(BigInteger)
    amount: Mapped[Decimal] = mapped_column(Sum)
