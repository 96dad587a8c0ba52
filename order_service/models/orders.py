"""Orders with their lines, as they were when placed, and the history of their status."""

from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Numeric, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from common.db import utcnow
from common.ids import new_id
from order_service.models.base import Amount, Base, CurrencyCode, by_beginning

TOTAL = "total = subtotal - discount + shipping + CASE WHEN tax_included THEN 0 ELSE tax END AND total >= 0"
WRITING_TRANSACTION = text("pg_current_xact_id()::text::bigint")


class Status(StrEnum):
    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    PAID = "PAID"
    SHIPPED = "SHIPPED"
    DELIVERED = "DELIVERED"
    PAYMENT_FAILED = "PAYMENT_FAILED"
    CANCELLED = "CANCELLED"
    REFUNDED = "REFUNDED"


class Order(Base):
    """`status` is changed by domain.status alone.

    `expires_at` is when an order that waits is given up; `payment_ttl`, how long it may wait for its payment.
    """

    __tablename__ = "orders"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    number: Mapped[str] = mapped_column(String(20), unique=True)
    user_id: Mapped[UUID]
    status: Mapped[str] = mapped_column(String(16))
    from_cart: Mapped[bool]
    subtotal: Mapped[Amount]
    discount: Mapped[Amount]
    shipping: Mapped[Amount]
    tax: Mapped[Amount]
    tax_rate: Mapped[Decimal] = mapped_column(Numeric(7, 4), default=Decimal(0))
    tax_included: Mapped[bool] = mapped_column(default=False)
    total: Mapped[Amount]
    currency: Mapped[CurrencyCode]
    shipping_address: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    shipping_method: Mapped[str | None] = mapped_column(String(40))
    promotion_code: Mapped[str | None] = mapped_column(String(40))
    short_lines: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))
    payment_ttl: Mapped[timedelta]
    expires_at: Mapped[datetime | None]
    redriven_at: Mapped[datetime | None]
    placed_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow)

    items: Mapped[list["OrderItem"]] = relationship(order_by="OrderItem.position", cascade="all, delete-orphan")

    __table_args__ = (
        CheckConstraint(f"status IN {tuple(str(status) for status in Status)}", name="status"),
        CheckConstraint(TOTAL, name="total"),
        Index("ix_orders_pending", "placed_at", postgresql_where=text("status = 'PENDING'")),
        Index("ix_orders_user_id_placed_at_id", "user_id", "placed_at", "id"),
        Index("ix_orders_placed_at_id", "placed_at", "id"),
        Index("ix_orders_status_placed_at_id", "status", "placed_at", "id"),
        Index("ix_orders_expires_at", "expires_at", postgresql_where=text("expires_at IS NOT NULL")),
        Index("ix_orders_number_beginning", "number", postgresql_ops={"number": "text_pattern_ops"}),
    )


class OrderItem(Base):
    """Title, price and cost as they were: later changes of the book, or its end, do not touch an order."""

    __tablename__ = "order_items"

    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    book_id: Mapped[UUID] = mapped_column(index=True)
    title: Mapped[str]
    quantity: Mapped[int]
    unit_price: Mapped[Amount]
    line_total: Mapped[Amount]
    unit_cost: Mapped[Decimal | None] = mapped_column(Numeric(12, 2))

    __table_args__ = (
        CheckConstraint("quantity BETWEEN 1 AND 99", name="quantity"),
        CheckConstraint("line_total = quantity * unit_price", name="line_total"),
    )


class HistoryEntry(Base):
    """A status that an order entered, when, by whom and why."""

    __tablename__ = "order_history"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"))
    status: Mapped[str] = mapped_column(String(16))
    at: Mapped[datetime] = mapped_column(default=utcnow)
    actor: Mapped[str] = mapped_column(String(255))
    reason: Mapped[str | None] = mapped_column(String(500))
    xact_id: Mapped[int | None] = mapped_column(BigInteger, server_default=WRITING_TRANSACTION)

    __table_args__ = (Index("ix_order_history_order_id_id", "order_id", "id"),)


class SoldTitle(Base):
    """A title under which a book was ever sold, written by a trigger: the staff's search looks into these few."""

    __tablename__ = "sold_titles"

    book_id: Mapped[UUID] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(primary_key=True)

    __table_args__ = (by_beginning("ix_sold_titles_title_lower", "title"),)


class BookOrder(Base):
    """That a book is in an order, in the order of the lists; written by the same trigger."""

    __tablename__ = "book_orders"

    book_id: Mapped[UUID] = mapped_column(primary_key=True)
    placed_at: Mapped[datetime] = mapped_column(primary_key=True)
    order_id: Mapped[UUID] = mapped_column(primary_key=True)
