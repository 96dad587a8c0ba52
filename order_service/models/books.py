"""What the order service keeps of each book, fed by the catalog's events."""

from decimal import Decimal
from uuid import UUID

from sqlalchemy import Numeric
from sqlalchemy.orm import Mapped, mapped_column

from order_service.models.base import Amount, Base, CurrencyCode


class Book(Base):
    """A replica: `version` is the catalog's, and an older event never overwrites a newer one.

    `stock_version` is that of `available` where a reservation told of it before the book's own news did.
    """

    __tablename__ = "books"

    book_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    code: Mapped[str]
    title: Mapped[str]
    price: Mapped[Amount]
    currency: Mapped[CurrencyCode]
    is_active: Mapped[bool]
    available: Mapped[int]
    stock_version: Mapped[int] = mapped_column(default=0, server_default="0")
    cost_price: Mapped[Decimal | None] = mapped_column(Numeric(12, 2))
