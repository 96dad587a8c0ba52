"""What the staff did, told in the transaction in which they did it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from common import outbox
from common.db import utcnow
from common.events.administration import OrdersAdminActed
from common.ids import new_id

State = dict[str, Any] | None


def acted(
    session: Session,
    actor: str,
    action: str,
    resource_id: object,
    *,
    before: State = None,
    after: State = None,
    reason: str | None = None,
) -> None:
    """`action` is resource and verb (`promotion.changed`)."""
    told = OrdersAdminActed(
        id=new_id(),
        actor_id=actor,
        action=action,
        resource=action.partition(".")[0],
        resource_id=str(resource_id),
        at=utcnow(),
        before=_plain(before),
        after=_plain(after),
        reason=reason,
    )
    outbox.record(session, told)


def columns(row: Any) -> dict[str, Any]:
    """All columns of a row, as they are now."""
    return {column.name: getattr(row, column.name) for column in row.__table__.columns}


def _plain(state: State) -> State:
    """In JSON an amount is a string."""
    return state and {name: _text(value) for name, value in state.items()}


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal) else value
