"""How users are reached: the copy that a service keeps of what the auth service tells of them.

The table is the service's own, a mapped class with `user_id`, `name` and `email`.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common.client import ServiceClient
from common.db import Database

USERS = "/internal/users"
SCOPE = "replicas:read"
PAGE_SIZE = 500


class Contact(BaseModel):
    """As the auth service's internal API tells it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    user_id: UUID
    username: str
    email: str


def note(session: Session, table: Any, user_id: UUID, name: str, email: str) -> None:
    values = {"name": name, "email": email}
    statement = insert(table).values(user_id=user_id, **values)
    session.execute(statement.on_conflict_do_update(index_elements=[table.user_id], set_=values))


def rebuild(database: Database, table: Any, auth: ServiceClient) -> int:
    """Copy everybody anew, and forget who is not there any more; returns how many there are. Raises Unavailable.

    Only what was here before the auth service was asked is replaced or goes: newer is what an event has told since.
    """
    with database.read() as session:
        rows = session.execute(select(table.user_id, table.name, table.email)).all()
    before = {row.user_id: (row.name, row.email) for row in rows}
    seen: set[UUID] = set()
    for items in auth.pages(USERS, {"limit": PAGE_SIZE}):
        page = [Contact.model_validate(each) for each in items]
        with database.transaction() as session:
            for contact in page:
                _correct(session, table, contact, before.get(contact.user_id))
        seen |= {contact.user_id for contact in page}
    with database.transaction() as session:
        session.execute(delete(table).where(table.user_id.in_(before.keys() - seen)))
    return len(seen)


def _correct(session: Session, table: Any, told: Contact, was: tuple[str, str] | None) -> None:
    values = {"name": told.username, "email": told.email}
    if was is None:
        session.execute(insert(table).values(user_id=told.user_id, **values).on_conflict_do_nothing())
    elif was != (told.username, told.email):
        same = (table.user_id == told.user_id, table.name == was[0], table.email == was[1])
        session.execute(update(table).where(*same).values(**values))
