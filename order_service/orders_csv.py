"""Orders as CSV, in batches: however many there are, a few hundred are held at a time."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from io import StringIO
from typing import Any

from common.db import Database
from common.pagination import Batch, Sort, sort_values
from common.spreadsheets import as_cell
from order_service.domain import views

BATCH = 500
ORDER_FIELDS = ("number", "id", "status", "user_id")
SUM_FIELDS = ("subtotal", "discount", "shipping", "tax", "total", "currency", "promotion_code", "shipping_method")
ADDRESS_FIELDS = ("name", "city", "postal_code", "country")
PAYMENT_FIELDS = ("provider", "status", "reference", "refunded")
HEAD = (
    *ORDER_FIELDS,
    "placed_at",
    "units",
    "items",
    *SUM_FIELDS,
    *(f"ship_to_{name}" for name in ADDRESS_FIELDS),
    *(f"payment_{name}" for name in PAYMENT_FIELDS),
)


def rows(database: Database, batch: Batch, by: Sequence[Sort], *, raw: bool = False) -> Iterator[str]:
    """The head, then every order; a slow reader holds no transaction open between two batches.

    `raw`: texts as they are, for programs; else none is a formula to a spreadsheet.
    """
    as_written = str if raw else as_cell
    yield _written([HEAD], as_written)
    last = None
    while True:
        with database.read() as session:
            found = session.execute(batch(last, BATCH)).all()
            orders = views.complete(session, [views.plain(row) for row in found])
        if orders:
            yield _written([_row(each) for each in orders], as_written)
        if len(found) < BATCH:
            return
        last = sort_values(by, found[-1])


def _row(order: dict[str, Any]) -> list[Any]:
    address, payment, items = order["shipping_address"] or {}, order["payment"] or {}, order["items"]
    return [
        *(order[name] for name in ORDER_FIELDS),
        order["placed_at"].isoformat(),
        sum(item["quantity"] for item in items),
        "; ".join(f"{item['quantity']} x {item['title']}" for item in items),
        *(order[name] for name in SUM_FIELDS),
        *(address.get(name) for name in ADDRESS_FIELDS),
        *(payment.get(name) for name in PAYMENT_FIELDS),
    ]


def _written(lines: Sequence[Sequence[Any]], as_written: Callable[[str], str]) -> str:
    written = StringIO()
    cells = [[as_written(cell) if isinstance(cell, str) else cell for cell in line] for line in lines]
    csv.writer(written).writerows(cells)
    return written.getvalue()
