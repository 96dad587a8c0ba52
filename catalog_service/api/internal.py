"""For the other services, to rebuild what they keep of books; the gateway never routes here."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint
from pydantic import Field
from sqlalchemy import select

from catalog_service.api.schemas import Replica
from catalog_service.domain import announcements
from catalog_service.models import Book
from common.api import Page, PageQuery, accepts, returns
from common.auth import requires
from common.db import session
from common.errors import NotFound
from common.pagination import Sort, paginate

api = Blueprint("internal", __name__, url_prefix="/internal/books")

_columns = Book.__table__.c
_REPLICATED = select(
    _columns.id,
    _columns.version,
    _columns.code,
    _columns.title,
    _columns.price,
    _columns.cost_price,
    _columns.currency,
    _columns.is_active,
    _columns.on_hand,
    _columns.reserved,
)


class ReplicaQuery(PageQuery):
    limit: int = Field(500, ge=1, le=1000)
    id: list[UUID] = Field(default=[], max_length=100, description="Only these; those that there are not are left out.")


@api.get("")
@requires("replicas:read")
@accepts(query=ReplicaQuery)
@returns(Page[Replica])
def list_replicas(query: ReplicaQuery) -> dict[str, Any]:
    """All books or these, also those off sale."""
    wanted = _REPLICATED.where(_columns.id.in_(query.id)) if query.id else _REPLICATED
    return paginate(session, wanted, by=[Sort(_columns.id, "id")], query=query, row=announcements.state)


@api.get("/<uuid:id>")
@requires("replicas:read")
@returns(Replica)
def get_replica(id: UUID) -> dict[str, Any]:
    """One book, also when it is off sale."""
    row = session.execute(_REPLICATED.where(_columns.id == id)).one_or_none()
    if row is None:
        raise NotFound
    return announcements.state(row)
