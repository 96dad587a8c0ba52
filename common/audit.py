"""What the staff did, recorded in the transaction in which it was done."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from common import outbox
from common.db import utcnow
from common.events.administration import AdminActed
from common.ids import new_id
from common.telemetry import request_id

State = dict[str, Any] | None


def record(
    session: Session,
    event: type[AdminActed],
    actor: str,
    action: str,
    resource_id: object,
    *,
    before: State = None,
    after: State = None,
    reason: str | None = None,
) -> None:
    """Tell it in the words of the service whose `event` it is; `action` is resource and verb (`user.changed`)."""
    told = event(
        id=new_id(),
        actor_id=actor,
        action=action,
        resource=action.partition(".")[0],
        resource_id=str(resource_id),
        at=utcnow(),
        before=before,
        after=after,
        reason=reason,
        request_id=request_id(),
    )
    outbox.record(session, told)
