"""Where to send, how, at which tax, and what makes it cheaper."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Numeric, String
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from common.db import utcnow
from common.ids import new_id
from order_service.models.base import Amount, Base


class PromotionKind(StrEnum):
    PERCENT = "percent"
    AMOUNT = "amount"
    FREE_SHIPPING = "free_shipping"


class Address(Base):
    """An entry of somebody's address book; an order keeps a copy of its own."""

    __tablename__ = "addresses"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID]
    name: Mapped[str] = mapped_column(String(200))
    line1: Mapped[str] = mapped_column(String(200))
    line2: Mapped[str | None] = mapped_column(String(200))
    city: Mapped[str] = mapped_column(String(200))
    region: Mapped[str | None] = mapped_column(String(200))
    postal_code: Mapped[str] = mapped_column(String(20))
    country: Mapped[str] = mapped_column(String(2))
    phone: Mapped[str | None] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = (Index("ix_addresses_user_id_id", "user_id", "id"),)


class ShippingMethod(Base):
    """`countries` is where it goes, everywhere when empty; from `free_over` on (after the discount) it is free."""

    __tablename__ = "shipping_methods"

    code: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    price: Mapped[Amount]
    free_over: Mapped[Decimal | None] = mapped_column(Numeric(12, 2))
    countries: Mapped[list[str]] = mapped_column(ARRAY(String(2)))
    is_active: Mapped[bool]

    __table_args__ = (CheckConstraint("price >= 0 AND free_over >= 0", name="price"),)


class TaxRate(Base):
    """Percent of goods and shipping sent to a country; `included` means that our prices have it in them."""

    __tablename__ = "tax_rates"

    country: Mapped[str] = mapped_column(String(2), primary_key=True)
    rate: Mapped[Decimal] = mapped_column(Numeric(7, 4))
    included: Mapped[bool]

    __table_args__ = (CheckConstraint("rate BETWEEN 0 AND 100", name="rate"),)


class Promotion(Base):
    """`used` counts the rows of its uses; whoever changes either holds this row."""

    __tablename__ = "promotions"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    code: Mapped[str] = mapped_column(String(40), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    value: Mapped[Amount]
    minimum: Mapped[Amount]
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    limit_total: Mapped[int | None]
    limit_per_user: Mapped[int | None]
    used: Mapped[int] = mapped_column(default=0)
    is_active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = (
        CheckConstraint(f"kind IN {tuple(str(kind) for kind in PromotionKind)}", name="kind"),
        CheckConstraint("used >= 0", name="used"),
        CheckConstraint("value >= 0 AND (kind <> 'percent' OR value <= 100)", name="value"),
    )


class PromotionUse(Base):
    """An order that a promotion made cheaper; gone again when the order ends unpaid."""

    __tablename__ = "promotion_uses"

    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True)
    promotion_id: Mapped[UUID] = mapped_column(ForeignKey("promotions.id"))
    user_id: Mapped[UUID]

    __table_args__ = (Index("ix_promotion_uses_promotion_id_user_id", "promotion_id", "user_id"),)
