"""Orders with their lines, as they were when placed, and the history of their status."""

from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Numeric, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from common.db import utcnow
from common.ids import new_id
from order_service.models.base import Amount, Base, CurrencyCode

TOTAL = "total = subtotal - discount + shipping + CASE WHEN tax_included THEN 0 ELSE tax END AND total >= 0"


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
        Index("ix_orders_expires_at", "expires_at", postgresql_where=text("expires_at IS NOT NULL")),
    )


class OrderItem(Base):
    """Title and price as they were: later changes of the book, or its end, do not touch an order."""

    __tablename__ = "order_items"

    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    book_id: Mapped[UUID] = mapped_column(index=True)
    title: Mapped[str]
    quantity: Mapped[int]
    unit_price: Mapped[Amount]
    line_total: Mapped[Amount]

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

    __table_args__ = (Index("ix_order_history_order_id_id", "order_id", "id"),)
