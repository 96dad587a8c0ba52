"""What the staff set about prices: promotions, shipping methods, tax rates."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Self
from uuid import UUID

from flask import Blueprint
from pydantic import BeforeValidator, Field, StringConstraints, model_validator
from sqlalchemy import select
from sqlalchemy.orm import Session

from common.api import Moment, Money, Page, PageQuery, Request, Response, accepts, digits_only, returns
from common.auth import current_user, requires
from common.db import session
from common.errors import Invalid, NotFound
from common.pagination import Sort, paginate
from order_service.api.schemas import Code, Country
from order_service.domain import audit, promotions
from order_service.models import Promotion, PromotionKind, ShippingMethod, TaxRate

api = Blueprint("terms", __name__, url_prefix="/api/v1/admin")

Limit = Annotated[int, Field(ge=1, le=2_000_000_000, strict=True)]
ZERO = Decimal("0.00")


class PromotionBody(Request):
    """`value` is percent or an amount, by `kind`; `minimum` is the subtotal that it needs."""

    code: Code
    kind: PromotionKind
    value: Money = ZERO
    minimum: Money = ZERO
    starts_at: Moment | None = None
    ends_at: Moment | None = None
    limit_total: Limit | None = None
    limit_per_user: Limit | None = None
    is_active: bool = True

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.kind == PromotionKind.PERCENT and not 0 < self.value <= 100:
            raise ValueError("value must be above 0 and at most 100 percent")
        if self.kind == PromotionKind.AMOUNT and self.value == 0:
            raise ValueError("value must be above 0")
        if self.starts_at and self.ends_at and self.starts_at >= self.ends_at:
            raise ValueError("ends_at must be after starts_at")
        return self


class PromotionOut(Response):
    id: UUID
    code: str
    kind: PromotionKind
    value: Money
    minimum: Money
    starts_at: datetime | None
    ends_at: datetime | None
    limit_total: int | None
    limit_per_user: int | None
    used: int
    is_active: bool
    created_at: datetime


class ShippingBody(Request):
    """`countries` is where it goes, everywhere when empty."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    price: Money
    free_over: Money | None = None
    countries: Annotated[list[Country], Field(max_length=250)] = []
    is_active: bool = True


class ShippingOut(ShippingBody):
    code: str


class TaxBody(Request):
    """`rate` is percent; `included` means that prices have it in them."""

    rate: Annotated[Decimal, Field(ge=0, le=100, decimal_places=4), BeforeValidator(digits_only)]
    included: bool


class TaxOut(TaxBody):
    country: str


class Everything(Response):
    items: list[Any]


@api.get("/promotions")
@requires("orders:manage")
@accepts(query=PageQuery)
@returns(Page[PromotionOut])
def list_promotions(query: PageQuery) -> dict[str, Any]:
    """All, the latest first."""
    columns = Promotion.__table__.c
    by = [Sort(columns.id, "id", descending=True)]
    return paginate(session, select(*columns), by=by, query=query, row=_shown_promotion)


@api.post("/promotions")
@requires("orders:manage")
@accepts(body=PromotionBody)
@returns(PromotionOut, status=201)
def add_promotion(body: PromotionBody) -> dict[str, Any]:
    """A new code; upper and lower case are the same."""
    made = Promotion(**_fields(body), used=0)
    promotions.require_free_code(session, made.code)
    session.add(made)
    session.flush()
    _tell("promotion.added", made.id, after=audit.columns(made))
    return _shown_promotion(made)


@api.get("/promotions/<uuid:promotion_id>")
@requires("orders:manage")
@returns(PromotionOut)
def get_promotion(promotion_id: UUID) -> dict[str, Any]:
    """One of them."""
    found = session.get(Promotion, promotion_id)
    if found is None:
        raise NotFound
    return _shown_promotion(found)


@api.put("/promotions/<uuid:promotion_id>")
@requires("orders:manage")
@accepts(body=PromotionBody)
@returns(PromotionOut)
def replace_promotion(promotion_id: UUID, body: PromotionBody) -> dict[str, Any]:
    """Change it; orders that were placed keep their price."""
    found = promotions.get(session, promotion_id)
    before = audit.columns(found)
    fields = _fields(body)
    promotions.require_free_code(session, fields["code"], but=promotion_id)
    for name, value in fields.items():
        setattr(found, name, value)
    session.flush()
    _tell("promotion.changed", promotion_id, before=before, after=audit.columns(found))
    return _shown_promotion(found)


@api.delete("/promotions/<uuid:promotion_id>")
@requires("orders:manage")
@returns(None, status=204)
def end_promotion(promotion_id: UUID) -> None:
    """Nobody can use it any more; it stays in the list."""
    found = promotions.get(session, promotion_id)
    found.is_active = False
    _tell("promotion.ended", promotion_id, before={"is_active": True}, after={"is_active": False})


def _fields(body: PromotionBody) -> dict[str, Any]:
    return body.model_dump() | {"code": body.code.upper()}


def _shown_promotion(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in PromotionOut.model_fields}


@api.get("/shipping-methods")
@requires("orders:manage")
@returns(Everything)
def list_shipping_methods() -> dict[str, Any]:
    """All of them."""
    return {"items": [audit.columns(each) for each in session.scalars(select(ShippingMethod).order_by("code"))]}


@api.put("/shipping-methods/<code>")
@requires("orders:manage")
@accepts(body=ShippingBody)
@returns(ShippingOut)
def set_shipping_method(code: str, body: ShippingBody) -> dict[str, Any]:
    """Make or change a way to send."""
    if not 1 <= len(code) <= 40 or not code.replace("-", "").replace("_", "").isalnum() or not code.isascii():
        raise Invalid.field("code", "must be 1 to 40 letters, digits, - or _")
    return _set(session, ShippingMethod, "shipping_method", {"code": code, **body.model_dump()}, code)


@api.delete("/shipping-methods/<code>")
@requires("orders:manage")
@returns(None, status=204)
def remove_shipping_method(code: str) -> None:
    """Orders that were placed keep it."""
    _remove(session, ShippingMethod, "shipping_method", code)


@api.get("/tax-rates")
@requires("orders:manage")
@returns(Everything)
def list_tax_rates() -> dict[str, Any]:
    """All of them."""
    return {"items": [audit.columns(each) for each in session.scalars(select(TaxRate).order_by("country"))]}


@api.put("/tax-rates/<country>")
@requires("orders:manage")
@accepts(body=TaxBody)
@returns(TaxOut)
def set_tax_rate(country: str, body: TaxBody) -> dict[str, Any]:
    """The rate of a country (ISO 3166-1 alpha-2)."""
    if len(country) != 2 or not (country.isascii() and country.isalpha() and country.isupper()):
        raise Invalid.field("country", "must be two capital letters")
    return _set(session, TaxRate, "tax_rate", {"country": country, **body.model_dump()}, country)


@api.delete("/tax-rates/<country>")
@requires("orders:manage")
@returns(None, status=204)
def remove_tax_rate(country: str) -> None:
    """Nothing is taxed there any more."""
    _remove(session, TaxRate, "tax_rate", country)


def _set(own: Session, model: type[Any], resource: str, fields: dict[str, Any], key: str) -> dict[str, Any]:
    known = own.get(model, key)
    before = audit.columns(known) if known else None
    row = own.merge(model(**fields))
    own.flush()
    _tell(f"{resource}.set", key, before=before, after=audit.columns(row))
    return audit.columns(row)


def _remove(own: Session, model: type[Any], resource: str, key: str) -> None:
    known = own.get(model, key)
    if known is None:
        raise NotFound
    _tell(f"{resource}.removed", key, before=audit.columns(known))
    own.delete(known)


def _tell(action: str, resource_id: object, *, before: audit.State = None, after: audit.State = None) -> None:
    audit.acted(session, current_user().subject, action, resource_id, before=before, after=after)
