"""Genres, with the number of books on sale in each."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from catalog_service.domain import audit, merging, named
from catalog_service.domain.fields import Name
from catalog_service.models import Genre as GenreRow
from common.api import Page, PageQuery, Request, Response, accepts, returns
from common.auth import current_user, public, requires
from common.db import session
from common.pagination import Sort, paginate

api = Blueprint("genres", __name__, url_prefix="/api/v1/genres")


class NameBody(Request):
    name: Name


class MergeBody(Request):
    duplicate_ids: list[UUID] = Field(min_length=1, max_length=50)


class Genre(Response):
    id: UUID
    name: str
    slug: str
    book_count: int


class GenreQuery(PageQuery):
    q: str | None = None


@api.get("")
@public
@accepts(query=GenreQuery)
@returns(Page[Genre])
def list_genres(query: GenreQuery) -> dict[str, Any]:
    """Genres by name."""
    return paginate(
        session,
        named.search(GenreRow, query.q),
        by=[Sort(GenreRow.__table__.c.key, "name"), Sort(GenreRow.__table__.c.id, "id")],
        query=query,
        row=named.document,
    )


@api.get("/<reference>")
@public
@returns(Genre)
def get_genre(reference: str) -> dict[str, Any]:
    """One genre, by id or slug."""
    return named.find(session, GenreRow, reference)


@api.post("")
@requires("books:write")
@accepts(body=NameBody)
@returns(Genre, status=201)
def create_genre(body: NameBody) -> tuple[Any, ...]:
    """Add a genre."""
    id = named.create(session, GenreRow, body.name)
    made = named.find(session, GenreRow, str(id))
    audit.acted(session, current_user().subject, "genre.created", id, after=made)
    return made, 201, {"Location": f"/api/v1/genres/{id}"}


@api.put("/<uuid:id>")
@requires("books:write")
@accepts(body=NameBody)
@returns(Genre)
def rename_genre(id: UUID, body: NameBody) -> dict[str, Any]:
    """Give a genre another name; the slug stays."""
    before = named.current(session, GenreRow, id)
    named.rename(session, GenreRow, id, body.name)
    renamed = named.find(session, GenreRow, str(id))
    audit.acted(session, current_user().subject, "genre.updated", id, before=before, after=renamed)
    return renamed


@api.post("/<uuid:id>/merge")
@requires("books:write")
@accepts(body=MergeBody)
@returns(Genre)
def merge_genres(id: UUID, body: MergeBody) -> dict[str, Any]:
    """Make one of several: books follow, and the addresses of the duplicates lead here."""
    gone = merging.merge(session, GenreRow, id, body.duplicate_ids)
    audit.acted(
        session, current_user().subject, "genre.merged", id, before={"duplicates": gone}, after={"duplicates": []}
    )
    return named.find(session, GenreRow, str(id))


@api.delete("/<uuid:id>")
@requires("books:write")
@returns(None, status=204)
def delete_genre(id: UUID) -> tuple[str, int]:
    """Remove a genre without books."""
    before = named.current(session, GenreRow, id)
    named.delete(session, GenreRow, id)
    audit.acted(session, current_user().subject, "genre.deleted", id, before=before)
    return "", 204
