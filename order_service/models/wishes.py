"""What customers wish for, wait for, and are written about."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from common.db import utcnow
from common.ids import new_id
from order_service.models.base import Base, by_beginning


class PrebookStatus(StrEnum):
    WAITING = "WAITING"
    NOTIFIED = "NOTIFIED"
    FULFILLED = "FULFILLED"
    CANCELLED = "CANCELLED"


IS_OPEN = text("status IN ('WAITING', 'NOTIFIED')")
IS_WAITING = text("status = 'WAITING'")


class Customer(Base):
    """A replica: how a user is reached, fed by the auth service's events."""

    __tablename__ = "customers"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    email: Mapped[str] = mapped_column(Text)

    __table_args__ = (
        by_beginning("ix_customers_name_lower", "name"),
        by_beginning("ix_customers_email_lower", "email"),
    )


class OwedLetter(Base):
    """A mail to write, committed with its reason; once it is among the mails, the row keeps it from coming again."""

    __tablename__ = "owed_letters"

    kind: Mapped[str] = mapped_column(String(40), primary_key=True)
    subject_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(index=True)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    due_at: Mapped[datetime] = mapped_column(default=utcnow)
    written_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_owed_letters_due_at", "due_at", postgresql_where=text("written_at IS NULL")),)


class Wish(Base):
    """A book on somebody's wish list."""

    __tablename__ = "wishes"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID]
    book_id: Mapped[UUID]
    added_at: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = (
        Index("uq_wishes_user_id_book_id", "user_id", "book_id", unique=True),
        Index("ix_wishes_user_id_id", "user_id", "id"),
    )


class Prebooking(Base):
    """A place in the queue for a book. `offered` copies were promised by mail, until `expires_at`."""

    __tablename__ = "prebookings"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID]
    book_id: Mapped[UUID]
    quantity: Mapped[int]
    offered: Mapped[int] = mapped_column(default=0)
    status: Mapped[str] = mapped_column(String(16), default=PrebookStatus.WAITING)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    notified_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(f"status IN {tuple(str(status) for status in PrebookStatus)}", name="status"),
        CheckConstraint("quantity BETWEEN 1 AND 99 AND offered BETWEEN 0 AND quantity", name="quantity"),
        Index("uq_prebookings_open", "user_id", "book_id", unique=True, postgresql_where=IS_OPEN),
        Index("ix_prebookings_book_id", "book_id", "id", postgresql_where=IS_OPEN),
        Index("ix_prebookings_user_id_id", "user_id", "id"),
        Index("ix_prebookings_expires_at", "expires_at", postgresql_where=text("status = 'NOTIFIED'")),
    )


class Demand(Base):
    """How many wait for a book, as it was last told; its row is locked by whoever changes the queue."""

    __tablename__ = "prebooking_demand"

    book_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger, default=0)
    waiting_count: Mapped[int] = mapped_column(default=0)
    waiting_quantity: Mapped[int] = mapped_column(default=0)

    __table_args__ = (CheckConstraint("waiting_count >= 0 AND waiting_quantity >= 0", name="waiting"),)
