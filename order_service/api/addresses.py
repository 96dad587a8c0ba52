"""The address book of whoever is signed in."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from flask import Blueprint
from sqlalchemy import select

from common.api import Page, PageQuery, Response, accepts, returns
from common.auth import current_user, requires_user
from common.db import session
from common.pagination import Sort, paginate
from order_service.api.schemas import Address as AddressBody
from order_service.domain import addresses
from order_service.models import Address

api = Blueprint("addresses", __name__, url_prefix="/api/v1/addresses")


class AddressOut(Response):
    id: UUID
    name: str
    line1: str
    line2: str | None
    city: str
    region: str | None
    postal_code: str
    country: str
    phone: str | None
    created_at: datetime


def _shown(entry: Any) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in AddressOut.model_fields}


@api.get("")
@requires_user("orders:read")
@accepts(query=PageQuery)
@returns(Page[AddressOut])
def list_addresses(query: PageQuery) -> dict[str, Any]:
    """One's own, the latest first."""
    columns = Address.__table__.c
    mine = select(*columns).where(columns.user_id == current_user().user_id)
    return paginate(session, mine, by=[Sort(columns.id, "id", descending=True)], query=query, row=_shown)


@api.post("")
@requires_user("orders:write")
@accepts(body=AddressBody)
@returns(AddressOut, status=201)
def add_address(body: AddressBody) -> dict[str, Any]:
    """Keep an address for later orders."""
    return _shown(addresses.add(session, current_user().user_id, body.model_dump()))


@api.put("/<uuid:address_id>")
@requires_user("orders:write")
@accepts(body=AddressBody)
@returns(AddressOut)
def replace_address(address_id: UUID, body: AddressBody) -> dict[str, Any]:
    """Orders that were sent there keep what they had."""
    entry = addresses.get(session, current_user().user_id, address_id)
    for name, value in body.model_dump().items():
        setattr(entry, name, value)
    return _shown(entry)


@api.delete("/<uuid:address_id>")
@requires_user("orders:write")
@returns(None, status=204)
def remove_address(address_id: UUID) -> None:
    """Forget an address."""
    session.delete(addresses.get(session, current_user().user_id, address_id))
