"""What the staff did, told in the transaction in which they did it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from common import audit
from common.audit import State
from common.events.administration import OrdersAdminActed


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
    states = {"before": _plain(before), "after": _plain(after)}
    audit.record(session, OrdersAdminActed, actor, action, resource_id, **states, reason=reason)


def columns(row: Any) -> dict[str, Any]:
    """All columns of a row, as they are now."""
    return {column.name: getattr(row, column.name) for column in row.__table__.columns}


def _plain(state: State) -> State:
    """In JSON an amount is a string."""
    return state and {name: _text(value) for name, value in state.items()}


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal) else value
