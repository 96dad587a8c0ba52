"""Somebody's address book. Somebody else's entry is absent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from common.errors import Conflict, NotFound
from order_service.models import Address

MOST = 50
FIELDS = ("name", "line1", "line2", "city", "region", "postal_code", "country", "phone")


class AddressBookFull(Conflict):
    code = "address_book_full"


def get(session: Session, user_id: UUID, address_id: UUID) -> Address:
    """Raises NotFound."""
    found = session.get(Address, address_id)
    if found is None or found.user_id != user_id:
        raise NotFound
    return found


def copy(session: Session, user_id: UUID, address_id: UUID) -> dict[str, Any]:
    """An entry as an order keeps it."""
    entry = get(session, user_id, address_id)
    return {name: getattr(entry, name) for name in FIELDS}


def add(session: Session, user_id: UUID, fields: Mapping[str, Any]) -> Address:
    """Raises AddressBookFull."""
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:user, 2))"), {"user": str(user_id)})
    count = session.scalar(select(func.count()).select_from(Address).where(Address.user_id == user_id)) or 0
    if count >= MOST:
        raise AddressBookFull(f"An address book holds at most {MOST}.")
    entry = Address(user_id=user_id, **fields)
    session.add(entry)
    session.flush()
    return entry
