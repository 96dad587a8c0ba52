"""What the catalog service publishes: books keyed by book, stock decisions keyed by order."""

from decimal import Decimal
from typing import ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from common.events.base import Event


class _BookEvent(Event):
    key_field: ClassVar[str] = "book_id"

    book_id: UUID


class _BookState(_BookEvent):
    """`version` grows with every change of the book or its stock; a replica ignores one older than its own.

    `cost_price` is what the store pays: for sums that the staff see, never for customers.
    """

    version: int
    code: str
    title: str
    price: Decimal
    currency: str
    is_active: bool
    available: int
    cover_url: str | None = None
    cost_price: Decimal | None = None


class BookAdded(_BookState):
    name: ClassVar[str] = "catalog.book_added.v1"


class BookChanged(_BookState):
    """Also when it was deleted or restored: see `is_active`."""

    name: ClassVar[str] = "catalog.book_changed.v1"


class StockChanged(_BookEvent):
    name: ClassVar[str] = "catalog.stock_changed.v1"

    version: int
    available: int


class BookRestocked(_BookEvent):
    """None could be sold before, now some can."""

    name: ClassVar[str] = "catalog.book_restocked.v1"

    available: int


class _StockDecision(Event):
    key_field: ClassVar[str] = "order_id"
    urgent: ClassVar[bool] = True

    order_id: UUID


class StockLevel(BaseModel):
    """How many of a book could be sold when it was at `version`, as in StockChanged."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    book_id: UUID
    version: int
    available: int


class StockReserved(_StockDecision):
    """All of the order's lines are set aside for it; `stock` is what is left of their books.

    It may be heard before StockChanged of the same books, which tells the same.
    """

    name: ClassVar[str] = "catalog.stock_reserved.v1"

    stock: tuple[StockLevel, ...] = ()


class ShortLine(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    book_id: UUID
    requested: int
    available: int


class StockRejected(_StockDecision):
    """Nothing was set aside, since not all of the order could be."""

    name: ClassVar[str] = "catalog.stock_rejected.v1"

    reason: str
    lines: tuple[ShortLine, ...] = ()
