"""The audit trail: what the staff changed, in this service and, by their events, in the others."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Select, null, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from auth_service.models import AuditEntry
from common.events.administration import CatalogAdminActed, OrdersAdminActed, ReviewsAdminActed
from common.telemetry import request_id

AdminActed = CatalogAdminActed | OrdersAdminActed | ReviewsAdminActed
Content = dict[str, Any] | None


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
    """Once, however often it is told."""
    values = event.model_dump(include=set(AuditEntry.__table__.c.keys()))
    service = event.name.partition(".")[0]
    session.execute(insert(AuditEntry).values(service=service, **values).on_conflict_do_nothing())


def forget(session: Session, user_id: UUID) -> None:
    """That an account was changed stays known; what was in it does not."""
    about = (AuditEntry.resource == "user", AuditEntry.resource_id == str(user_id))
    session.execute(update(AuditEntry).where(*about).values(before=null(), after=null()))


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
