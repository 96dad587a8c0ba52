"""What an order costs, to the cent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

ZERO = Decimal("0.00")


@dataclass(frozen=True, slots=True)
class Totals:
    subtotal: Decimal
    discount: Decimal = ZERO
    shipping: Decimal = ZERO
    tax: Decimal = ZERO

    @property
    def total(self) -> Decimal:
        return self.subtotal - self.discount + self.shipping + self.tax


def line_total(quantity: int, unit_price: Decimal) -> Decimal:
    return quantity * unit_price


def totals(lines: Iterable[tuple[int, Decimal]]) -> Totals:
    """Of lines as (quantity, unit price)."""
    return Totals(subtotal=sum((line_total(quantity, price) for quantity, price in lines), ZERO))
