"""Requests that may be sent again: the first use of a key does the work, each later one gets the first answer.

The key commits in the transaction of its work, so that no crash leaves the one without the other.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common.db import utcnow
from common.errors import Conflict, Invalid
from order_service.models import IdempotencyKey

KEPT_FOR = timedelta(hours=24)
RUNS_AT_MOST = timedelta(seconds=30)


class StillRunning(Conflict):
    code = "idempotency_in_progress"


class KeyReused(Invalid):
    code = "idempotency_key_reused"


@dataclass(frozen=True, slots=True)
class Use:
    """One request under a key: who, doing what, with which content."""

    user_id: UUID
    operation: str
    key: str
    content: Any

    @property
    def fingerprint(self) -> str:
        plain = json.dumps(self.content, sort_keys=True, default=str)
        return hashlib.sha256(plain.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Earlier:
    """What a key was used for before.

    Without an answer its process died; the order, or the attempt to pay for it, knows how far it came.
    """

    order_id: UUID
    payment_id: UUID | None
    status: int | None
    answer: dict[str, Any] | None


def claim(session: Session, use: Use, order_id: UUID, payment_id: UUID | None = None) -> Earlier | None:
    """None when this is the first use, which is now under way. Raises KeyReused or StillRunning.

    Of two first uses at once, the second waits here until the first one's transaction has ended.
    """
    fresh = session.scalar(
        insert(IdempotencyKey)
        .values(
            user_id=use.user_id,
            operation=use.operation,
            key=use.key,
            fingerprint=use.fingerprint,
            order_id=order_id,
            payment_id=payment_id,
            running_until=utcnow() + RUNS_AT_MOST,
            created_at=utcnow(),
        )
        .on_conflict_do_nothing()
        .returning(IdempotencyKey.order_id)
    )
    return None if fresh else _earlier(use, session.scalars(select(IdempotencyKey).where(*_of(use))).one())


def find(session: Session, use: Use) -> Earlier | None:
    """What the key was used for, if it was: before reading anything that may be gone since. Raises as `claim`."""
    known = session.scalar(select(IdempotencyKey).where(*_of(use)))
    return _earlier(use, known) if known else None


def _earlier(use: Use, known: IdempotencyKey) -> Earlier:
    if known.fingerprint != use.fingerprint:
        raise KeyReused("This Idempotency-Key was used for another request.")
    if known.answer_status is None and known.running_until > utcnow():
        raise StillRunning("The first request with this Idempotency-Key is still running.")
    return Earlier(known.order_id, known.payment_id, known.answer_status, known.answer)


def finish(session: Session, use: Use, status: int, answer: dict[str, Any]) -> None:
    """Keep the answer for whoever asks again."""
    session.execute(update(IdempotencyKey).where(*_of(use)).values(answer_status=status, answer=answer))


def prune(session: Session) -> None:
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < utcnow() - KEPT_FOR))


def _of(use: Use) -> tuple[Any, ...]:
    return (
        IdempotencyKey.user_id == use.user_id,
        IdempotencyKey.operation == use.operation,
        IdempotencyKey.key == use.key,
    )
