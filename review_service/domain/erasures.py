"""Who was erased: what is told of them afterwards is not taken in, however late it comes."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from review_service.models import Erasure


def lock(session: Session, user_id: UUID) -> None:
    """Have purchases, name, reviews and erasure of this user wait for each other, until the transaction ends.

    Neither would see the other otherwise: what is added would outlive the erasure, and a review written while its
    purchase is told would never be verified.
    """
    waiting = text("SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.people.' || :user, 0))")
    session.execute(waiting, {"user": str(user_id)})


def note(session: Session, user_id: UUID) -> None:
    """Of a locked user."""
    session.execute(insert(Erasure).values(user_id=user_id).on_conflict_do_nothing())


def is_erased(session: Session, user_id: UUID) -> bool:
    """Locks the user, so that the answer stays true."""
    lock(session, user_id)
    return bool(erased(session, [user_id]))


def erased(session: Session, user_ids: Collection[UUID]) -> set[UUID]:
    """Those of many that are erased by now."""
    return set(session.scalars(select(Erasure.user_id).where(Erasure.user_id.in_(user_ids))))
