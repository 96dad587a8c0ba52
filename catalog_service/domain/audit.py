"""What the staff did to the catalog, recorded in the transaction in which it was done."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.orm import Session

from common import audit
from common.audit import State
from common.events.administration import CatalogAdminActed

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
    audit.record(session, CatalogAdminActed, actor, action, id, before=before, after=after, reason=reason)
