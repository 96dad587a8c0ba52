"""What several resources take or give."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, StringConstraints

from common.api import Money, Request, Response
from order_service.domain.carts import MAX_QUANTITY

Quantity = Annotated[int, Field(ge=1, le=MAX_QUANTITY, strict=True)]
Line = Annotated[str, StringConstraints(min_length=1, max_length=200)]
OptionalLine = Annotated[str, StringConstraints(max_length=200)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=500)]

Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]


class Wanted(Request):
    book_id: UUID
    quantity: Quantity


class Address(Request):
    name: Line
    line1: Line
    line2: OptionalLine | None = None
    city: Line
    region: OptionalLine | None = None
    postal_code: Annotated[str, StringConstraints(min_length=1, max_length=20)]
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] = Field(description="ISO 3166-1 alpha-2")
    phone: Annotated[str, StringConstraints(max_length=40)] | None = None


class ShippingOptionOut(Response):
    code: str
    name: str
    price: Money
    free_over: Money | None


class OrderItemOut(Response):
    book_id: UUID
    title: str
    quantity: int
    unit_price: Money
    line_total: Money


class HistoryEntryOut(Response):
    status: str
    at: datetime
    actor: str
    reason: str | None


class PaymentOut(Response):
    provider: str
    status: str
    reference: str | None
    failure: str | None
    amount: Money
    refunded: Money


class OrderOut(Response):
    id: UUID
    number: str
    user_id: UUID
    status: str
    items: list[OrderItemOut]
    subtotal: Money
    discount: Money
    shipping: Money
    tax: Money
    tax_included: bool
    total: Money
    currency: str
    shipping_address: dict[str, Any] | None
    shipping_method: str | None
    promotion_code: str | None
    history: list[HistoryEntryOut]
    payment: PaymentOut | None
    placed_at: datetime
    updated_at: datetime


class WarningOut(Response):
    code: str
    detail: str


class CartWarningOut(WarningOut):
    item_id: UUID | None = Field(description="null when it is about the cart as a whole")


class CartItemOut(Response):
    id: UUID
    book_id: UUID
    title: str | None
    quantity: int
    unit_price: Money
    line_total: Money
    currency: str | None
    available: int | None
    in_stock: bool
    warnings: list[WarningOut]


class CartOut(Response):
    items: list[CartItemOut]
    subtotal: Money
    currency: str | None
    warnings: list[CartWarningOut]
