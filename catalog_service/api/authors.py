"""Authors, with the number of their books on sale."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from catalog_service.domain import audit, books, merging, named
from catalog_service.domain.fields import Name
from catalog_service.models import Author as AuthorRow
from common.api import Page, PageQuery, Request, Response, accepts, returns
from common.auth import current_user, public, requires
from common.db import session
from common.pagination import Sort, paginate

api = Blueprint("authors", __name__, url_prefix="/api/v1/authors")


class NameBody(Request):
    name: Name


class MergeBody(Request):
    duplicate_ids: list[UUID] = Field(min_length=1, max_length=50)


class Author(Response):
    id: UUID
    name: str
    slug: str
    book_count: int


class AuthorQuery(PageQuery):
    q: str | None = None


@api.get("")
@public
@accepts(query=AuthorQuery)
@returns(Page[Author])
def list_authors(query: AuthorQuery) -> dict[str, Any]:
    """Authors by name."""
    return paginate(
        session,
        named.search(AuthorRow, query.q),
        by=[Sort(AuthorRow.__table__.c.key, "name"), Sort(AuthorRow.__table__.c.id, "id")],
        query=query,
        row=named.document,
    )


@api.get("/<reference>")
@public
@returns(Author)
def get_author(reference: str) -> dict[str, Any]:
    """One author, by id or slug."""
    return named.find(session, AuthorRow, reference)


@api.post("")
@requires("books:write")
@accepts(body=NameBody)
@returns(Author, status=201)
def create_author(body: NameBody) -> tuple[Any, ...]:
    """Add an author."""
    id = named.create(session, AuthorRow, body.name)
    made = named.find(session, AuthorRow, str(id))
    audit.acted(session, current_user().subject, "author.created", id, after=made)
    return made, 201, {"Location": f"/api/v1/authors/{id}"}


@api.put("/<uuid:id>")
@requires("books:write")
@accepts(body=NameBody)
@returns(Author)
def rename_author(id: UUID, body: NameBody) -> dict[str, Any]:
    """Give an author another name; the slug stays."""
    before = named.current(session, AuthorRow, id)
    if named.rename(session, AuthorRow, id, body.name):
        books.author_renamed(session, id)
    renamed = named.find(session, AuthorRow, str(id))
    audit.acted(session, current_user().subject, "author.updated", id, before=before, after=renamed)
    return renamed


@api.post("/<uuid:id>/merge")
@requires("books:write")
@accepts(body=MergeBody)
@returns(Author)
def merge_authors(id: UUID, body: MergeBody) -> dict[str, Any]:
    """Make one of several: books follow, and the addresses of the duplicates lead here."""
    gone = merging.merge(session, AuthorRow, id, body.duplicate_ids)
    audit.acted(
        session, current_user().subject, "author.merged", id, before={"duplicates": gone}, after={"duplicates": []}
    )
    return named.find(session, AuthorRow, str(id))


@api.delete("/<uuid:id>")
@requires("books:write")
@returns(None, status=204)
def delete_author(id: UUID) -> tuple[str, int]:
    """Remove an author without books."""
    before = named.current(session, AuthorRow, id)
    named.delete(session, AuthorRow, id)
    audit.acted(session, current_user().subject, "author.deleted", id, before=before)
    return "", 204
