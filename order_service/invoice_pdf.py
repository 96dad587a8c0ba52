"""An invoice or a credit note as a PDF of one or more A4 pages."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from fpdf.enums import XPos, YPos

from order_service.domain.invoices import Correction
from order_service.domain.totals import CENT, ZERO
from order_service.models import Invoice, Order
from order_service.pdf import FAMILY, HEADINGS, Document

WIDTHS = (100, 15, 30, 35)
ADDRESS = ("name", "line1", "line2")


def render(order: Order, written: Invoice, seller: str, corrects: Correction | None = None) -> bytes:
    """`seller` is the store's name and address, line by line; a credit note `corrects` something."""
    kind = "Credit note" if corrects else "Invoice"
    page = Document(f"{kind} {written.number}", written.issued_at, foreign_text(order, seller))
    page.add_page()
    _head(page, order, written, seller, kind)
    if corrects:
        _credit(page, order, written, corrects)
    else:
        _table(page, order)
        _sums(page, order)
    return page.written()


def foreign_text(order: Order, seller: str) -> str:
    """What may be in any script: the store, whom the order goes to, and titles."""
    return " ".join([seller, *address_lines(order.shipping_address), *(item.title for item in order.items)])


def _head(page: Document, order: Order, written: Invoice, seller: str, kind: str) -> None:
    for line in seller.splitlines():
        page.line_of(line, size=9)
    page.ln(8)
    for line in address_lines(order.shipping_address):
        page.line_of(line)
    page.ln(10)
    page.line_of(f"{kind} {written.number}", size=18)
    page.ln(2)
    page.line_of(f"Date: {written.issued_at:%Y-%m-%d}")
    page.line_of(f"Order: {order.number} of {order.placed_at:%Y-%m-%d}")
    page.ln(6)


def address_lines(address: dict[str, Any] | None) -> list[str]:
    if not address:
        return []
    town = f"{address['postal_code']} {address['city']}"
    lines = [address.get(name) for name in ADDRESS]
    return [line for line in (*lines, town, address.get("region"), address["country"]) if line]


def _table(page: Document, order: Order) -> None:
    page.set_font(FAMILY, size=10)
    aligned = ("LEFT", "RIGHT", "RIGHT", "RIGHT")
    with page.table(
        col_widths=WIDTHS, text_align=aligned, borders_layout="HORIZONTAL_LINES", line_height=6, headings_style=HEADINGS
    ) as table:
        table.row(("Title", "Qty", "Price", "Amount"))
        for item in order.items:
            table.row((item.title, str(item.quantity), str(item.unit_price), str(item.line_total)))
    page.ln(4)


def _sums(page: Document, order: Order) -> None:
    _sum(page, "Subtotal", order.subtotal, order.currency)
    if order.discount:
        _sum(page, f"Discount {order.promotion_code or ''}".strip(), -order.discount, order.currency)
    _sum(page, "Shipping", order.shipping, order.currency)
    _sum(page, f"{'Tax included' if order.tax_included else 'Tax'} {percent(order)}", order.tax, order.currency)
    _sum(page, "Total", order.total, order.currency, size=12)


def _sum(page: Document, name: str, amount: Decimal, currency: str, *, size: float = 10) -> None:
    page.set_font(FAMILY, size=size)
    page.cell(130, 6, name, align="R")
    page.cell(50, 6, f"{amount} {currency}", align="R", new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def percent(order: Order) -> str:
    """A rate as it was set: some have three places, and a rounded one does not give the tax beside it."""
    return f"{order.tax_rate.normalize():f} %"


def _credit(page: Document, order: Order, written: Invoice, corrects: Correction) -> None:
    page.line_of(f"We have given this back of what you paid by invoice {corrects.invoice}:")
    page.ln(4)
    _sum(page, "Credited", written.amount, order.currency, size=12)
    tax = contained_tax(order, written.amount, corrects.credited)
    if tax:
        _sum(page, f"Tax in it {percent(order)}", tax, order.currency)


def contained_tax(order: Order, amount: Decimal, credited: Decimal) -> Decimal:
    """The share of the order's tax in an amount that goes back after others: all of them together have all of it."""
    return _share_of_tax(order, credited + amount) - _share_of_tax(order, credited)


def _share_of_tax(order: Order, amount: Decimal) -> Decimal:
    return (order.tax * amount / order.total).quantize(CENT, ROUND_HALF_UP) if order.total else ZERO
