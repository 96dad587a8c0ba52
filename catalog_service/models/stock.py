"""The stock ledger, and what is set aside for which order."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from catalog_service.models.base import Base
from common.db import utcnow
from common.ids import new_id


class MovementKind(StrEnum):
    RECEIVED = "received"
    RESERVED = "reserved"
    RELEASED = "released"
    SOLD = "sold"
    RETURNED = "returned"
    CORRECTED = "corrected"


class ReservationStatus(StrEnum):
    HELD = "held"
    REJECTED = "rejected"
    RELEASED = "released"
    SOLD = "sold"


class StockMovement(Base):
    """One entry of the ledger; only a correction may be negative. None is ever changed or removed."""

    __tablename__ = "stock_movements"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    book_id: Mapped[UUID] = mapped_column(ForeignKey("books.id", ondelete="RESTRICT"))
    kind: Mapped[str] = mapped_column(String(16))
    quantity: Mapped[int]
    reason: Mapped[str | None] = mapped_column(String(500))
    actor: Mapped[str] = mapped_column(String(255))
    order_id: Mapped[UUID | None]
    at: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = (
        CheckConstraint(f"kind IN {tuple(str(kind) for kind in MovementKind)}", name="kind"),
        CheckConstraint("quantity > 0 OR kind = 'corrected' AND quantity <> 0", name="quantity"),
        Index("ix_stock_movements_book_id_id", "book_id", "id"),
        Index(
            "uq_stock_movements_once_per_order",
            "order_id",
            "book_id",
            "kind",
            unique=True,
            postgresql_where=text("order_id IS NOT NULL AND kind <> 'returned'"),
        ),
    )


class Reservation(Base):
    """What was decided about an order's stock. A cancelled order has one even if it never held anything."""

    __tablename__ = "reservations"

    order_id: Mapped[UUID] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)

    __table_args__ = (
        CheckConstraint(f"status IN {tuple(str(status) for status in ReservationStatus)}", name="status"),
        Index("ix_reservations_held", "created_at", postgresql_where=text("status = 'held'")),
    )


class ReservationLine(Base):
    """How many of a book an order holds or bought, and how many of those came back."""

    __tablename__ = "reservation_lines"

    order_id: Mapped[UUID] = mapped_column(ForeignKey("reservations.order_id"), primary_key=True)
    book_id: Mapped[UUID] = mapped_column(ForeignKey("books.id", ondelete="RESTRICT"), primary_key=True, index=True)
    quantity: Mapped[int]
    returned: Mapped[int] = mapped_column(default=0)

    __table_args__ = (CheckConstraint("quantity > 0 AND 0 <= returned AND returned <= quantity", name="quantities"),)


class BookDemand(Base):
    """How many of a book people wait for, as the order service tells it; a `version` older than this is ignored."""

    __tablename__ = "book_demand"

    book_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    waiting_quantity: Mapped[int]
    waiting_count: Mapped[int]

    __table_args__ = (CheckConstraint("waiting_quantity >= 0 AND waiting_count >= 0", name="waiting"),)
