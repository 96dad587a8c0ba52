"""Authors and genres: what books are found by, each with a name of its own and the number of its books on sale."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from catalog_service.domain import audit, books, merging, named
from catalog_service.domain.fields import Name
from catalog_service.models import Author
from common.api import Page, PageQuery, Request, Response, accepts, known_as, returns
from common.auth import current_user, public, requires
from common.caching import shared
from common.db import session
from common.pagination import Sort, paginate


class NameBody(Request):
    name: Name


class MergeBody(Request):
    duplicate_ids: list[UUID] = Field(min_length=1, max_length=50)


class Named(Response):
    id: UUID
    name: str
    slug: str
    book_count: int


class NamedQuery(PageQuery):
    q: str | None = None


def named_blueprint(model: named.Named) -> Blueprint:
    """The routes of one of the two, under the name of its table."""
    plural, kind = model.__tablename__, model.__name__.lower()
    path = f"/api/v1/{plural}"
    api = Blueprint(plural, __name__, url_prefix=path)

    def acted(action: str, id: UUID, **states: Any) -> None:
        audit.acted(session, current_user().subject, f"{kind}.{action}", id, **states)

    @api.get("")
    @public
    @shared()
    @accepts(query=NamedQuery)
    @returns(Page[Named])
    @known_as(f"list{plural.capitalize()}")
    def search(query: NamedQuery) -> dict[str, Any]:
        """All by name, or those with these words in it."""
        columns = model.__table__.c
        return paginate(
            session,
            named.search(model, query.q),
            by=[Sort(columns.key, "name"), Sort(columns.id, "id")],
            query=query,
            row=named.document,
        )

    @api.get("/<id>")
    @public
    @shared()
    @returns(Named)
    @known_as(f"get{model.__name__}")
    def get(id: str) -> dict[str, Any]:
        """One of them, by id or slug."""
        return named.find(session, model, id)

    @api.post("")
    @requires("books:write")
    @accepts(body=NameBody)
    @returns(Named, status=201)
    @known_as(f"create{model.__name__}")
    def create(body: NameBody) -> tuple[Any, ...]:
        """Add one."""
        id = named.create(session, model, body.name)
        made = named.find(session, model, str(id))
        acted("created", id, after=made)
        return made, 201, {"Location": f"{path}/{id}"}

    @api.put("/<uuid:id>")
    @requires("books:write")
    @accepts(body=NameBody)
    @returns(Named)
    @known_as(f"rename{model.__name__}")
    def rename(id: UUID, body: NameBody) -> dict[str, Any]:
        """Give it another name; the slug stays."""
        row = named.to_change(session, model, id)
        before = named.current(session, model, id)
        if named.rename(session, row, body.name) and model is Author:
            books.author_renamed(session, id)
        renamed = named.find(session, model, str(id))
        acted("updated", id, before=before, after=renamed)
        return renamed

    @api.post("/<uuid:id>/merge")
    @requires("books:write")
    @accepts(body=MergeBody)
    @returns(Named)
    @known_as(f"merge{plural.capitalize()}")
    def merge(id: UUID, body: MergeBody) -> dict[str, Any]:
        """Make one of several: books follow, and the addresses of the duplicates lead here."""
        gone = merging.merge(session, model, id, body.duplicate_ids)
        acted("merged", id, before={"duplicates": gone}, after={"duplicates": []})
        return named.find(session, model, str(id))

    @api.delete("/<uuid:id>")
    @requires("books:write")
    @returns(None, status=204)
    @known_as(f"delete{model.__name__}")
    def delete(id: UUID) -> tuple[str, int]:
        """Remove one that has no books."""
        row = named.to_change(session, model, id)
        before = named.current(session, model, id)
        named.delete(session, row)
        acted("deleted", id, before=before)
        return "", 204

    return api
