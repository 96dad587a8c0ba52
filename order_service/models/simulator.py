"""What the simulated payment provider remembers, as a real one would on its own side."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from common.db import utcnow
from order_service.models.base import Amount, Base, CurrencyCode

UNTOLD = "settles_at IS NOT NULL AND told_at IS NULL"


class SimulatedCharge(Base):
    """`settles_at` is when a late decision is made, `told_at` when its webhook was taken."""

    __tablename__ = "simulated_charges"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    reference: Mapped[str | None] = mapped_column(String(64), unique=True)
    failure: Mapped[str | None] = mapped_column(String(100))
    amount: Mapped[Amount]
    refunded: Mapped[Amount]
    currency: Mapped[CurrencyCode]
    settles_at: Mapped[datetime | None]
    told_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = (
        CheckConstraint("refunded BETWEEN 0 AND amount", name="refunded"),
        Index("ix_simulated_charges_untold", "settles_at", postgresql_where=text(UNTOLD)),
    )


class SimulatedRefund(Base):
    __tablename__ = "simulated_refunds"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    charge: Mapped[str] = mapped_column(ForeignKey("simulated_charges.key"))
    amount: Mapped[Amount]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
