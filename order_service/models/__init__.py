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
from order_service.models.invoices import DocumentCounter, DocumentFile, Invoice
from order_service.models.orders import BookOrder, HistoryEntry, Order, OrderItem, SoldTitle, Status
from order_service.models.payments import Payment, PaymentStatus, Refund, RefundStatus, WebhookEvent
from order_service.models.sales import DailyBookSales, DailyCancellations, DailySales, MonthlyBookSales
from order_service.models.simulator import SimulatedCharge, SimulatedRefund
from order_service.models.wishes import Customer, Demand, OwedLetter, Prebooking, PrebookStatus, Wish

__all__ = [
    "Address",
    "Base",
    "Book",
    "BookOrder",
    "Cart",
    "CartItem",
    "Customer",
    "DailyBookSales",
    "DailyCancellations",
    "DailySales",
    "Demand",
    "DocumentCounter",
    "DocumentFile",
    "HistoryEntry",
    "IdempotencyKey",
    "Invoice",
    "MonthlyBookSales",
    "Order",
    "OrderItem",
    "OwedLetter",
    "Payment",
    "PaymentStatus",
    "PrebookStatus",
    "Prebooking",
    "Promotion",
    "PromotionKind",
    "PromotionUse",
    "Refund",
    "RefundStatus",
    "ShippingMethod",
    "SimulatedCharge",
    "SimulatedRefund",
    "SoldTitle",
    "Status",
    "TaxRate",
    "WebhookEvent",
    "Wish",
]
