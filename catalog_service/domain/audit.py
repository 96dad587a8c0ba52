"""What the staff did to the catalog, recorded in the transaction in which it was done."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from common import outbox
from common.db import utcnow
from common.events.administration import CatalogAdminActed
from common.ids import new_id
from common.telemetry import request_id

State = dict[str, Any] | None
UNTOLD = frozenset({"updated_at", "created_at"})


def acted(
    session: Session,
    actor: str,
    action: str,
    id: UUID,
    *,
    before: State = None,
    after: State = None,
    reason: str | None = None,
) -> None:
    """Record it with the members that differ; a write that changed nothing is no act. `action`: resource.verb."""
    if before is not None and after is not None:
        changed = [name for name in before if name not in UNTOLD and before[name] != after.get(name)]
        if not changed:
            return
        before, after = ({name: state[name] for name in changed} for state in (before, after))
    event = CatalogAdminActed(
        id=new_id(),
        actor_id=actor,
        action=action,
        resource=action.partition(".")[0],
        resource_id=str(id),
        at=utcnow(),
        before=before,
        after=after,
        reason=reason,
        request_id=request_id(),
    )
    outbox.record(session, event)
