"""What the order service publishes, keyed by order."""

from decimal import Decimal
from typing import ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from common.events.base import Event


class OrderLine(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    book_id: UUID
    quantity: int


class _OrderEvent(Event):
    key_field: ClassVar[str] = "order_id"
    urgent: ClassVar[bool] = True

    order_id: UUID
    user_id: UUID


class OrderPlaced(_OrderEvent):
    name: ClassVar[str] = "orders.order_placed.v1"

    number: str
    lines: tuple[OrderLine, ...]
    total: Decimal
    currency: str


class OrderConfirmed(_OrderEvent):
    """Its stock is set aside; it waits for payment."""

    name: ClassVar[str] = "orders.order_confirmed.v1"


class OrderPaid(_OrderEvent):
    name: ClassVar[str] = "orders.order_paid.v1"

    lines: tuple[OrderLine, ...]


class PaymentFailed(_OrderEvent):
    name: ClassVar[str] = "orders.payment_failed.v1"


class OrderCancelled(_OrderEvent):
    """Before payment: out of stock, by its buyer or the staff, or because nobody paid in time."""

    name: ClassVar[str] = "orders.order_cancelled.v1"

    reason: str
    lines: tuple[OrderLine, ...]


class OrderShipped(_OrderEvent):
    name: ClassVar[str] = "orders.order_shipped.v1"


class OrderDelivered(_OrderEvent):
    name: ClassVar[str] = "orders.order_delivered.v1"


class PrebookingDemandChanged(Event):
    """How many people wait for a book that is out of stock, and for how many copies. A newer `version` counts."""

    name: ClassVar[str] = "orders.prebooking_demand_changed.v1"
    key_field: ClassVar[str] = "book_id"

    book_id: UUID
    version: int
    waiting_count: int
    waiting_quantity: int


class OrderRefunded(_OrderEvent):
    """Its money went back; with `restock` the books did too."""

    name: ClassVar[str] = "orders.order_refunded.v1"

    amount: Decimal
    currency: str
    restock: bool
    lines: tuple[OrderLine, ...]
