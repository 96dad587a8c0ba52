"""How customers are reached: a replica of what the auth service tells of its users."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from order_service.models import Customer


def note(session: Session, user_id: UUID, name: str, email: str) -> None:
    values = {"name": name, "email": email}
    statement = insert(Customer).values(user_id=user_id, **values)
    session.execute(statement.on_conflict_do_update(index_elements=[Customer.user_id], set_=values))
