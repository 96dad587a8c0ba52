"""Invoices and credit notes, numbered without gaps."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from common.db import utcnow
from order_service.models.base import Amount, Base


class DocumentCounter(Base):
    """The last number of a series; whoever takes the next holds this row until its document is committed."""

    __tablename__ = "document_counters"

    series: Mapped[str] = mapped_column(String(16), primary_key=True)
    last: Mapped[int]


class DocumentFile(Base):
    """An invoice or a credit note as it was first handed out."""

    __tablename__ = "document_files"

    number: Mapped[str] = mapped_column(String(20), ForeignKey("invoices.number", ondelete="CASCADE"), primary_key=True)
    content: Mapped[bytes]
    made_at: Mapped[datetime] = mapped_column(default=utcnow)


class Invoice(Base):
    """What an order was paid with; with `refund_id`, a credit note over what went back."""

    __tablename__ = "invoices"

    number: Mapped[str] = mapped_column(String(20), primary_key=True)
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"), index=True)
    refund_id: Mapped[UUID | None] = mapped_column(ForeignKey("refunds.id"), unique=True)
    amount: Mapped[Amount]
    issued_at: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = (
        Index("uq_invoices_one_per_order", "order_id", unique=True, postgresql_where=text("refund_id IS NULL")),
    )
