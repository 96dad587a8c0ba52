"""What lies in a parcel: whom it is for and what is in it. No prices: it may be a present."""

from __future__ import annotations

from order_service.invoice_pdf import address_lines, foreign_text
from order_service.models import Order
from order_service.pdf import FAMILY, HEADINGS, Document

WIDTHS = (20, 130, 30)


def render(order: Order, seller: str) -> bytes:
    """`seller` is the store's name and address, line by line."""
    title = f"Packing slip {order.number}"
    page = Document(title, order.placed_at, foreign_text(order, seller))
    page.add_page()
    for line in seller.splitlines():
        page.line_of(line, size=9)
    page.ln(8)
    for line in address_lines(order.shipping_address):
        page.line_of(line, size=12)
    page.ln(10)
    page.line_of(title, size=18)
    page.line_of(f"Order of {order.placed_at:%Y-%m-%d}, sent by {order.shipping_method or 'our standard way'}")
    page.ln(6)
    _contents(page, order)
    return page.written()


def _contents(page: Document, order: Order) -> None:
    page.set_font(FAMILY, size=11)
    aligned = ("RIGHT", "LEFT", "LEFT")
    with page.table(
        col_widths=WIDTHS,
        text_align=aligned,
        borders_layout="HORIZONTAL_LINES",
        line_height=7,
        headings_style=HEADINGS,
    ) as table:
        table.row(("Qty", "Title", "Packed"))
        for item in order.items:
            table.row((str(item.quantity), item.title, ""))
    page.ln(4)
    page.line_of(f"{sum(item.quantity for item in order.items)} books")
