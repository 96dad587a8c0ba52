"""The tables of the order service."""

from order_service.models.base import Base
from order_service.models.books import Book
from order_service.models.carts import Cart, CartItem
from order_service.models.checkout import (
    Address,
    Promotion,
    PromotionKind,
    PromotionUse,
    ShippingMethod,
    TaxRate,
)
from order_service.models.idempotency import IdempotencyKey
from order_service.models.invoices import DocumentCounter, Invoice
from order_service.models.orders import HistoryEntry, Order, OrderItem, Status
from order_service.models.payments import Payment, PaymentStatus, Refund, RefundStatus
from order_service.models.simulator import SimulatedCharge, SimulatedRefund

__all__ = [
    "Address",
    "Base",
    "Book",
    "Cart",
    "CartItem",
    "DocumentCounter",
    "HistoryEntry",
    "IdempotencyKey",
    "Invoice",
    "Order",
    "OrderItem",
    "Payment",
    "PaymentStatus",
    "Promotion",
    "PromotionKind",
    "PromotionUse",
    "Refund",
    "RefundStatus",
    "ShippingMethod",
    "SimulatedCharge",
    "SimulatedRefund",
    "Status",
    "TaxRate",
]
