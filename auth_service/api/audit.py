"""/api/v1/admin/audit: who of the staff changed what, in every service."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from flask import Blueprint
from pydantic import Field
from sqlalchemy import Row

from auth_service.api.authority import signed_in_admin
from auth_service.domain import audit
from auth_service.models import AuditEntry
from common.api import Moment, Page, PageQuery, Response, accepts, known_as, returns
from common.auth import requires_user
from common.db import session
from common.pagination import Sort, paginate

api = Blueprint("audit", __name__, url_prefix="/api/v1/admin/audit")


class AuditQuery(PageQuery):
    service: str | None = Field(None, max_length=20, description="auth, catalog, orders or reviews")
    actor_id: str | None = Field(None, max_length=100)
    action: str | None = Field(None, max_length=100, description="resource and verb: user.deactivated")
    resource: str | None = Field(None, max_length=100)
    resource_id: str | None = Field(None, max_length=200)
    since: Moment | None = None
    until: Moment | None = Field(None, description="not included")


class AuditAnswer(Response):
    id: UUID
    at: datetime
    service: str
    actor_id: str
    action: str
    resource: str
    resource_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str | None
    request_id: str | None


@api.get("")
@requires_user("users:manage")
@accepts(query=AuditQuery)
@returns(Page[AuditAnswer])
@known_as("listAuditEntries")
def list_entries(query: AuditQuery) -> dict[str, Any]:
    """The newest first."""
    signed_in_admin()
    columns = AuditEntry.__table__.c
    by = [Sort(columns.at, "at", descending=True), Sort(columns.id, "id", descending=True)]
    found = audit.entries(**query.model_dump(exclude=set(PageQuery.model_fields)))
    return paginate(session, found, by=by, query=query, row=_answer)


def _answer(row: Row[Any]) -> dict[str, Any]:
    return AuditAnswer.model_validate(row[0], from_attributes=True).model_dump()
