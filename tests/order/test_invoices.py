"""Invoices and credit notes: numbers without gaps, and pages that show every letter."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from common.db import Database
from common.ids import new_id
from order_service import invoice_pdf
from order_service.models import Invoice, Order, OrderItem
from tests.order.shop import Shop
from tests.support.tokens import bearer


def documents(shop: Shop, order_id: str) -> list[tuple[str, str]]:
    return [(each["number"], each["amount"]) for each in shop.get(f"/orders/{order_id}/documents").json["items"]]


def test_an_invoice_once_it_is_paid(shop: Shop, book: UUID) -> None:
    order_id = shop.confirmed(book)
    assert shop.get(f"/orders/{order_id}/invoice").json["code"] == "not_paid"
    shop.pay(order_id)
    answer = shop.get(f"/orders/{order_id}/invoice")
    assert (answer.status_code, answer.mimetype, answer.data[:5]) == (200, "application/pdf", b"%PDF-")
    assert "INV-000001.pdf" in answer.headers["Content-Disposition"]
    assert shop.client.get(f"/api/v1/orders/{order_id}/invoice", headers=bearer()).status_code == 404
    assert shop.client.get(f"/api/v1/orders/{order_id}/documents/INV-000001", headers=bearer()).status_code == 404


def test_numbers_have_no_gaps_whoever_pays_at_once(shop: Shop, book: UUID) -> None:
    orders = [shop.confirmed(book) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda each: shop.pay(each, "tok_visa"), orders))
    numbers = sorted(number for each in orders for number, _ in documents(shop, each))
    assert numbers == [f"INV-{number:06d}" for number in range(1, 7)]


def test_each_refund_has_its_credit_note(shop: Shop, book: UUID) -> None:
    order_id = shop.paid(book)
    shop.post(f"/orders/{order_id}/refund", {"amount": "5.00"}, staff=True)
    shop.post(f"/orders/{order_id}/refund", staff=True)
    assert documents(shop, order_id) == [("INV-000001", "12.99"), ("CN-000001", "5.00"), ("CN-000002", "7.99")]
    other = shop.paid(book)
    assert shop.get(f"/orders/{order_id}/documents/CN-000002").data[:5] == b"%PDF-"
    assert shop.get(f"/orders/{other}/documents/CN-000002").status_code == 404


def test_an_order_paid_before_there_were_invoices_gets_one(shop: Shop, database: Database, book: UUID) -> None:
    order_id = shop.paid(book)
    with database.transaction() as session:
        session.delete(session.get_one(Invoice, "INV-000001"))
    assert shop.get(f"/orders/{order_id}/invoice").status_code == 200
    assert documents(shop, order_id) == [("INV-000002", "12.99")]


def test_many_lines_and_letters_beyond_latin() -> None:
    assert invoice_pdf.render(*example()).count(b"/Type /Page\n") == 2


def example() -> tuple[Order, Invoice, str]:
    """An order of 60 lines."""
    now, price, zero = datetime.now(UTC), Decimal("12.99"), Decimal("0.00")
    titles = (
        "Žluťoučký kůň",
        "Война и мир",
        "Ἰλιάς",
        "Straße & Œuvre — a title that is so long that it needs two",
    )
    items = [
        OrderItem(position=n, book_id=new_id(), title=titles[n % 4], quantity=1, unit_price=price, line_total=price)
        for n in range(60)
    ]
    total = price * 60
    address = {"name": "Đặng Thị", "line1": "Hauptstraße 1", "postal_code": "10115", "city": "Łódź", "country": "PL"}
    order = Order(
        number="2026-000001", items=items, subtotal=total, discount=zero, shipping=zero, tax=zero, total=total,
        currency="EUR", tax_rate=Decimal(0), tax_included=True, placed_at=now, shipping_address=address,
    )  # fmt: skip
    return order, Invoice(number="INV-000001", amount=total, issued_at=now), "Bookstore\n1 Main Street"
