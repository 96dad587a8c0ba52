"""Attempts to charge for an order, and what was given back."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from common.db import utcnow
from common.ids import new_id
from order_service.models.base import Amount, Base, CurrencyCode


class PaymentStatus(StrEnum):
    PROCESSING = "PROCESSING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class RefundStatus(StrEnum):
    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class Payment(Base):
    """One attempt; its id is the key under which the provider charges once, however often it is asked.

    `asked_at` is when the worker last asked what became of it.
    """

    __tablename__ = "payments"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"))
    provider: Mapped[str] = mapped_column(String(20))
    method: Mapped[str] = mapped_column(String(100))
    status: Mapped[str] = mapped_column(String(16), default=PaymentStatus.PROCESSING)
    amount: Mapped[Amount]
    refunded: Mapped[Amount]
    currency: Mapped[CurrencyCode]
    reference: Mapped[str | None] = mapped_column(String(255))
    failure: Mapped[str | None] = mapped_column(String(100))
    asked_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)

    __table_args__ = (
        CheckConstraint("refunded BETWEEN 0 AND amount", name="refunded"),
        CheckConstraint("refunded = 0 OR status = 'SUCCEEDED'", name="captured"),
        CheckConstraint(f"status IN {tuple(str(status) for status in PaymentStatus)}", name="status"),
        Index("ix_payments_order_id_id", "order_id", "id"),
        Index("uq_payments_one_per_order", "order_id", unique=True, postgresql_where=text("status <> 'FAILED'")),
        Index("uq_payments_reference", "provider", "reference", unique=True),
        Index("ix_payments_created_at", "created_at"),
        Index("ix_payments_processing", "created_at", postgresql_where=text("status = 'PROCESSING'")),
    )


class Refund(Base):
    """Money on its way back; its id is the key under which the provider refunds once."""

    __tablename__ = "refunds"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    payment_id: Mapped[UUID] = mapped_column(ForeignKey("payments.id"), index=True)
    status: Mapped[str] = mapped_column(String(16), default=RefundStatus.PENDING)
    amount: Mapped[Amount]
    restock: Mapped[bool]
    actor: Mapped[str] = mapped_column(String(255))
    reason: Mapped[str | None] = mapped_column(String(500))
    reference: Mapped[str | None] = mapped_column(String(255))
    asked_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)

    __table_args__ = (
        CheckConstraint("amount >= 0", name="amount"),
        CheckConstraint(f"status IN {tuple(str(status) for status in RefundStatus)}", name="status"),
        Index("ix_refunds_pending", "created_at", postgresql_where=text("status = 'PENDING'")),
    )


class WebhookEvent(Base):
    """What a provider has told and was acted upon, so that its repetition is not."""

    __tablename__ = "webhook_events"

    provider: Mapped[str] = mapped_column(String(20), primary_key=True)
    event_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    received_at: Mapped[datetime] = mapped_column(default=utcnow, index=True)
