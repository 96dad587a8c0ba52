"""How users are reached: a replica of what the auth service tells of them."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from catalog_service.models import Contact


def note(session: Session, user_id: UUID, name: str, email: str) -> None:
    values = {"name": name, "email": email}
    statement = insert(Contact).values(user_id=user_id, **values)
    session.execute(statement.on_conflict_do_update(index_elements=[Contact.user_id], set_=values))


def forget(session: Session, user_id: UUID) -> None:
    session.execute(delete(Contact).where(Contact.user_id == user_id))
