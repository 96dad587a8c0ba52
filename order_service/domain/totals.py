"""What an order costs, to the cent: one function, for the cart, the quote and the order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from order_service.models.checkout import PromotionKind

ZERO = Decimal("0.00")
CENT = Decimal("0.01")
HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class Discount:
    """`value` is percent or an amount, by its kind."""

    kind: str
    value: Decimal


@dataclass(frozen=True, slots=True)
class Shipping:
    price: Decimal
    free_over: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Tax:
    """`rate` is percent; `included` means that the prices have it in them."""

    rate: Decimal
    included: bool


@dataclass(frozen=True, slots=True)
class Totals:
    """With `tax_included`, `tax` is a part of the other sums and not added to them."""

    subtotal: Decimal
    discount: Decimal = ZERO
    shipping: Decimal = ZERO
    tax: Decimal = ZERO
    tax_included: bool = False

    @property
    def total(self) -> Decimal:
        added = ZERO if self.tax_included else self.tax
        return self.subtotal - self.discount + self.shipping + added


def line_total(quantity: int, unit_price: Decimal) -> Decimal:
    return quantity * unit_price


def totals(
    lines: Iterable[tuple[int, Decimal]],
    *,
    discount: Discount | None = None,
    shipping: Shipping | None = None,
    tax: Tax | None = None,
) -> Totals:
    """Of lines as (quantity, unit price). The discount comes off the goods; goods and shipping are taxed."""
    subtotal = sum((line_total(quantity, price) for quantity, price in lines), ZERO)
    off = _discount(subtotal, discount)
    sent = _shipping(subtotal - off, shipping, discount)
    taxed = _tax(subtotal - off + sent, tax)
    return Totals(subtotal, off, sent, taxed, tax_included=bool(tax and tax.included))


def _discount(subtotal: Decimal, discount: Discount | None) -> Decimal:
    if discount is None or discount.kind == PromotionKind.FREE_SHIPPING:
        return ZERO
    if discount.kind == PromotionKind.AMOUNT:
        return min(discount.value, subtotal)
    return _cents(subtotal * discount.value / HUNDRED)


def _shipping(goods: Decimal, shipping: Shipping | None, discount: Discount | None) -> Decimal:
    if shipping is None or (discount and discount.kind == PromotionKind.FREE_SHIPPING):
        return ZERO
    is_free = shipping.free_over is not None and goods >= shipping.free_over
    return ZERO if is_free else shipping.price


def _tax(base: Decimal, tax: Tax | None) -> Decimal:
    if tax is None:
        return ZERO
    if tax.included:
        return base - _cents(base * HUNDRED / (HUNDRED + tax.rate))
    return _cents(base * tax.rate / HUNDRED)


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)
