"""Carts, one for each user, and one for each guest under an id made from their cookie."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from common.db import utcnow
from common.ids import new_id
from order_service.models.base import Amount, Base


class Cart(Base):
    """The row that is locked by whoever changes or orders what is in it."""

    __tablename__ = "carts"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    is_guest: Mapped[bool] = mapped_column(default=False)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = (Index("ix_carts_guests", "updated_at", postgresql_where=text("is_guest")),)


class CartItem(Base):
    """`unit_price` is what it cost when it was put in, to tell its owner of a change."""

    __tablename__ = "cart_items"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("carts.user_id", ondelete="CASCADE"))
    book_id: Mapped[UUID]
    quantity: Mapped[int]
    unit_price: Mapped[Amount]
    added_at: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = (
        UniqueConstraint("user_id", "book_id"),
        CheckConstraint("quantity BETWEEN 1 AND 99", name="quantity"),
    )
