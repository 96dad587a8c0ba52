"""From what somebody asks for to what it costs: shipping and tax by country, and a promotion."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.errors import Invalid
from order_service.domain.promotions import PromotionRefused
from order_service.domain.totals import ZERO, Discount, Shipping, Tax, Totals, totals
from order_service.models import Promotion, ShippingMethod, TaxRate

Amounts = Iterable[tuple[int, Decimal]]


@dataclass(frozen=True, slots=True)
class Price:
    sums: Totals
    shipping_method: str | None
    tax_rate: Decimal


def price(
    session: Session, lines: Amounts, *, country: str | None, method: str | None, promotion: Promotion | None
) -> Price:
    """What these lines cost, sent there. Raises Invalid or PromotionRefused."""
    lines = list(lines)
    _require_minimum(promotion, totals(lines).subtotal)
    chosen = _choose(options(session, country), method, has_any=_ships_anything(session))
    rate = session.get(TaxRate, country) if country else None
    sums = totals(
        lines,
        discount=Discount(promotion.kind, promotion.value) if promotion else None,
        shipping=Shipping(chosen.price, chosen.free_over) if chosen else None,
        tax=Tax(rate.rate, rate.included) if rate else None,
    )
    return Price(sums, chosen.code if chosen else None, rate.rate if rate else ZERO)


def options(session: Session, country: str | None) -> Sequence[ShippingMethod]:
    """The shipping methods that go to a country, the cheapest first; without one, those that go everywhere."""
    active = select(ShippingMethod).where(ShippingMethod.is_active).order_by(ShippingMethod.price, ShippingMethod.code)
    return [each for each in session.scalars(active) if not each.countries or country in each.countries]


def _ships_anything(session: Session) -> bool:
    return session.scalar(select(ShippingMethod.code).where(ShippingMethod.is_active).limit(1)) is not None


def _choose(found: Sequence[ShippingMethod], method: str | None, *, has_any: bool) -> ShippingMethod | None:
    """The one that was asked for, else the cheapest. A store without any sends for nothing."""
    if method is not None:
        for each in found:
            if each.code == method:
                return each
        raise Invalid.field("shipping_method", "does not go there")
    if has_any and not found:
        raise Invalid.field("shipping_address", "is needed, in a country that we send to")
    return found[0] if found else None


def _require_minimum(promotion: Promotion | None, subtotal: Decimal) -> None:
    if promotion and subtotal < promotion.minimum:
        raise PromotionRefused(f"This code needs an order of {promotion.minimum} or more.", reason="minimum")
