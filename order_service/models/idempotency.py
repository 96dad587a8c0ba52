"""Answers kept for requests that may be sent again."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from common.db import utcnow
from order_service.models.base import Base


class IdempotencyKey(Base):
    """One use of an Idempotency-Key. Without `answer` the request still runs, or its process died.

    `payment_id` is the attempt that a payment's key made: an order may have had others since.
    """

    __tablename__ = "idempotency_keys"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    operation: Mapped[str] = mapped_column(String(40), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    order_id: Mapped[UUID]
    payment_id: Mapped[UUID | None]
    running_until: Mapped[datetime]
    answer_status: Mapped[int | None]
    answer: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = (Index("ix_idempotency_keys_created_at", "created_at"),)
