"""The audit trail: what the staff changed, in this service and, by their events, in the others."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, null, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from auth_service.models import AuditEntry, User
from common.events.administration import CatalogAdminActed, OrdersAdminActed, ReviewsAdminActed
from common.telemetry import request_id

AdminActed = CatalogAdminActed | OrdersAdminActed | ReviewsAdminActed
Content = dict[str, Any] | None

REVIEW = "review"
WRITER = "user_id"
"""Of a review's content: who said it."""


def note(
    session: Session,
    *,
    actor_id: UUID,
    action: str,
    resource_id: object,
    before: Content = None,
    after: Content = None,
) -> None:
    """`action` names resource and verb (`user.deactivated`). Of two contents only what differs is kept."""
    if before is not None and after is not None:
        before, after = _differences(before, after)
    session.add(
        AuditEntry(
            service="auth",
            actor_id=str(actor_id),
            action=action,
            resource=action.partition(".")[0],
            resource_id=str(resource_id),
            before=before,
            after=after,
            request_id=request_id(),
        )
    )
    session.flush()


def take_over(session: Session, event: AdminActed) -> None:
    """Once, however often it is told; without what somebody said who was erased before it came."""
    values = event.model_dump(include=set(AuditEntry.__table__.c.keys()))
    if not _is_writer_here(session, event):
        values["before"] = None
    service = event.name.partition(".")[0]
    session.execute(insert(AuditEntry).values(service=service, **values).on_conflict_do_nothing())


def _is_writer_here(session: Session, event: AdminActed) -> bool:
    """Also where nobody's words are told. The account stays until the entry is written, for `forget` to see it."""
    writer = (event.before or {}).get(WRITER) if event.resource == REVIEW else None
    if writer is None:
        return True
    account = select(User.id).where(User.id == UUID(writer))
    return session.scalar(account.with_for_update(read=True, key_share=True)) is not None


def forget(session: Session, user_id: UUID) -> None:
    """That a locked account or a review by its holder was changed stays known; what was in it does not."""
    account = and_(AuditEntry.resource == "user", AuditEntry.resource_id == str(user_id))
    written = and_(AuditEntry.resource == REVIEW, AuditEntry.before[WRITER].astext == str(user_id))
    session.execute(update(AuditEntry).where(or_(account, written)).values(before=null(), after=null()))


def entries(*, since: Any = None, until: Any = None, **equal: str | None) -> Select[Any]:
    """`since` is included, `until` is not."""
    statement = select(AuditEntry)
    for name, value in equal.items():
        if value is not None:
            statement = statement.where(getattr(AuditEntry, name) == value)
    if since is not None:
        statement = statement.where(AuditEntry.at >= since)
    if until is not None:
        statement = statement.where(AuditEntry.at < until)
    return statement


def _differences(before: dict[str, Any], after: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    changed = [name for name in after if before.get(name) != after[name]]
    return {name: before.get(name) for name in changed}, {name: after[name] for name in changed}
