"""Invoices and credit notes: numbers without gaps, and pages that show every letter."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from threading import Event
from types import ModuleType
from uuid import UUID

import pytest

from common.db import Database
from common.errors import Unavailable
from common.ids import new_id
from order_service import invoice_pdf, packing_slip_pdf
from order_service.domain import invoices
from order_service.models import Invoice, Order, OrderItem
from order_service.pdf import Document, Press
from tests.order.shop import Shop
from tests.support.tokens import bearer
from tests.support.waiting import eventually

FOREIGN = ("戦争と平和", "三体", "채식주의자", "ألف ليلة وليلة", "כתר, אחד", "สี่แผ่นดิน", "গোরা")


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


def test_an_invoice_is_made_once_and_kept(shop: Shop, book: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    order_id, made, render = shop.paid(book), [], invoice_pdf.render
    monkeypatch.setattr(invoice_pdf, "render", lambda *what: made.append(1) or render(*what))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: shop.get(f"/orders/{order_id}/invoice"), range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert len({answer.data for answer in answers}) == len(made) == 1


def test_documents_are_made_one_at_a_time_and_few_wait_for_it() -> None:
    press, begun, goes_on, now = Press(2), Event(), Event(), []

    def make() -> bytes:
        now.append(1)
        begun.set()
        assert goes_on.wait(10)
        now.pop()
        assert not now
        return b"made"

    with ThreadPoolExecutor(2) as pool:
        two = [pool.submit(press.made, make) for _ in range(2)]
        assert begun.wait(10)
        eventually(lambda: not press._room._places._value)
        with pytest.raises(Unavailable):
            press.made(make)
        goes_on.set()
        assert [each.result() for each in two] == [b"made"] * 2


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


def test_the_tax_in_all_credit_notes_is_the_tax_of_the_order(shop: Shop, database: Database, book: UUID) -> None:
    order_id = shop.paid(book)
    for _ in range(2):
        shop.post(f"/orders/{order_id}/refund", {"amount": "6.00"}, staff=True)
    shop.post(f"/orders/{order_id}/refund", staff=True)
    order = Order(total=Decimal("12.99"), tax=Decimal("2.07"))
    with database.read() as session:
        _, *notes = invoices.documents(session, UUID(order_id))
        corrections = [invoices.correction(session, note) for note in notes]
    assert {each.invoice for each in corrections if each} == {"INV-000001"}
    before = [each.credited for each in corrections if each]
    assert before == [Decimal("0.00"), Decimal("6.00"), Decimal("12.00")]
    taxes = [invoice_pdf.contained_tax(order, note.amount, given) for note, given in zip(notes, before, strict=True)]
    assert sum(taxes) == order.tax


def test_halves_of_an_odd_tax_lose_no_cent() -> None:
    order, half = Order(total=Decimal("1.00"), tax=Decimal("0.05")), Decimal("0.50")
    first, second = (invoice_pdf.contained_tax(order, half, given) for given in (Decimal("0.00"), half))
    assert (first, second) == (Decimal("0.03"), Decimal("0.02"))


@pytest.mark.parametrize(
    ("rate", "written"), [("8.8750", "8.875 %"), ("20.0000", "20 %"), ("0", "0 %"), ("100.0000", "100 %")]
)
def test_a_rate_is_written_as_it_was_set(rate: str, written: str) -> None:
    assert invoice_pdf.percent(Order(tax_rate=Decimal(rate))) == written


def test_an_order_paid_before_there_were_invoices_gets_one(shop: Shop, database: Database, book: UUID) -> None:
    order_id = shop.paid(book)
    with database.transaction() as session:
        session.delete(session.get_one(Invoice, "INV-000001"))
    assert shop.get(f"/orders/{order_id}/invoice").status_code == 200
    assert documents(shop, order_id) == [("INV-000002", "12.99")]


def test_many_lines_and_letters_beyond_latin() -> None:
    assert invoice_pdf.render(*example()).count(b"/Type /Page\n") == 2


@pytest.mark.parametrize("title", FOREIGN)
@pytest.mark.parametrize("module", [invoice_pdf, packing_slip_pdf])
def test_titles_in_every_script_are_printed(module: ModuleType, title: str, caplog: pytest.LogCaptureFixture) -> None:
    order, invoice, seller = example(title, lines=1)
    written = module.render(order, invoice, seller) if module is invoice_pdf else module.render(order, seller)
    assert written.startswith(b"%PDF-")
    assert "missing" not in caplog.text
    assert written.count(b"/FontFile") > 1


def test_other_fonts_are_loaded_only_for_those_who_need_them() -> None:
    now = datetime.now(UTC)
    assert len(Document("Invoice", now, "Emma Žluťoučký गोदान Война").fonts) == 1
    assert len(Document("Invoice", now, "Emma ألف 三体 戦争と平和").fonts) == 3


def example(*titles: str, lines: int = 60) -> tuple[Order, Invoice, str]:
    """An order with these titles, or with others beyond Latin, over and over."""
    now, price, zero = datetime.now(UTC), Decimal("12.99"), Decimal("0.00")
    titles = titles or (
        "Žluťoučký kůň",
        "Война и мир",
        "Ἰλιάς",
        "Straße & Œuvre — a title that is so long that it needs two",
    )
    items = [
        OrderItem(
            position=n, book_id=new_id(), title=titles[n % len(titles)], quantity=1, unit_price=price, line_total=price
        )
        for n in range(lines)
    ]
    total = price * lines
    address = {"name": "Đặng Thị", "line1": "Hauptstraße 1", "postal_code": "10115", "city": "Łódź", "country": "PL"}
    order = Order(
        number="2026-000001", items=items, subtotal=total, discount=zero, shipping=zero, tax=zero, total=total,
        currency="EUR", tax_rate=Decimal(0), tax_included=True, placed_at=now, shipping_address=address,
    )  # fmt: skip
    return order, Invoice(number="INV-000001", amount=total, issued_at=now), "Bookstore\n1 Main Street"
