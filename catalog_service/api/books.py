"""Books: search, read, and the staff's writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast
from uuid import UUID

from flask import Blueprint, Response
from sqlalchemy import Row

from catalog_service.api.finding import find
from catalog_service.api.schemas import Book, BookBody, BookPage, BookPatch, BookQuery, SuggestPage, SuggestQuery
from catalog_service.config import CatalogConfig
from catalog_service.domain import audit, books, facets, search, suggest, views
from catalog_service.domain.search import Filters
from catalog_service.models import Book as BookRow
from common.api import Page, PageQuery, accepts, known_as, returns
from common.app import config
from common.auth import current_user, principal, public, requires
from common.caching import shared
from common.conditional import etag, not_modified, require_match
from common.db import session
from common.pagination import paginate

api = Blueprint("books", __name__, url_prefix="/api/v1/books")

STAFF_SCOPES = ("books:write", "stock:write")


@api.get("")
@public
@shared(but_for_tokens=True)
@accepts(query=BookQuery)
@returns(BookPage)
def list_books(query: BookQuery) -> dict[str, Any]:
    """Books on sale: full text, filters, orders, and counts by facet."""
    filters = search.understood(session, _filters(query))
    staff = is_staff()
    page, found_by = find(session, filters, query.sort, query, lambda row: views.document(row, staff=staff))
    return page | facets.count(session, found_by) if query.facets else page


@api.get("/suggest")
@public
@shared()
@accepts(query=SuggestQuery)
@returns(SuggestPage)
def suggest_books(query: SuggestQuery) -> dict[str, Any]:
    """As you type: at most ten titles, authors and series that begin so."""
    return {"items": suggest.beginning(session, query.q)}


@api.get("/inactive")
@requires("books:write")
@accepts(query=PageQuery)
@returns(Page[Book])
@known_as("listInactiveBooks")
def list_inactive(query: PageQuery) -> dict[str, Any]:
    """Books that were taken off sale, the latest first."""
    filters = Filters(is_active=False)
    return paginate(
        session,
        search.statement(filters),
        by=search.order(filters, "inactive"),
        query=query,
        row=lambda row: views.document(row, staff=True),
    )


@api.get("/<id>")
@public
@shared(but_for_tokens=True)
@returns(Book)
def get_book(id: str) -> Response | tuple[Any, ...]:
    """One book, by id or ISBN."""
    staff = is_staff()
    row = views.find(session, id, staff=staff)
    headers = _headers(row, staff=staff)
    if not_modified(views.entity_tag(row, staff=staff)):
        return "", 304, headers
    return views.document(row, staff=staff), 200, headers


@api.post("")
@requires("books:write")
@accepts(body=BookBody)
@returns(Book, status=201)
def create_book(body: BookBody) -> tuple[Any, ...]:
    """Add a book; it comes without stock."""
    settings = cast(CatalogConfig, config)
    id = books.create(session, body.written(), currency=settings.currency)
    document, _, headers = _shown(id)
    audit.acted(session, current_user().subject, "book.created", id, after=document)
    return document, 201, headers | {"Location": f"/api/v1/books/{id}"}


@api.put("/<uuid:id>")
@requires("books:write")
@accepts(body=BookBody)
@returns(Book)
def replace_book(id: UUID, body: BookBody) -> tuple[Any, ...]:
    """Write the whole book anew."""
    book = _to_change(id)
    with _audited("book.updated", id):
        books.replace(session, book, body.written())
    return _shown(id)


@api.patch("/<uuid:id>")
@requires("books:write")
@accepts(body=BookPatch)
@returns(Book)
def change_book(id: UUID, body: BookPatch) -> tuple[Any, ...]:
    """Change some fields of a book."""
    book = _to_change(id)
    with _audited("book.updated", id):
        books.change(session, book, body.written(given_only=True))
    return _shown(id)


@api.delete("/<uuid:id>")
@requires("books:write")
@returns(None, status=204)
def delete_book(id: UUID) -> tuple[str, int]:
    """Take a book off sale; orders keep it, and it can be restored."""
    book = _to_change(id)
    with _audited("book.deleted", id):
        books.set_active(session, book, False)
    return "", 204


@api.post("/<uuid:id>/restore")
@requires("books:write")
@returns(Book)
def restore_book(id: UUID) -> tuple[Any, ...]:
    """Put a book on sale again."""
    book = _to_change(id)
    with _audited("book.restored", id):
        books.set_active(session, book, True)
    return _shown(id)


def _filters(query: BookQuery) -> Filters:
    return Filters(**{name: getattr(query, name) for name in Filters.__dataclass_fields__ if hasattr(query, name)})


def is_staff() -> bool:
    bearer = principal()
    return bearer is not None and any(bearer.has(scope) for scope in STAFF_SCOPES)


def _to_change(id: UUID) -> BookRow:
    """The locked book, if it is still the one that If-Match names. Raises NotFound or PreconditionFailed.

    Only the revision of the tag counts: a sale in the meantime changes the answer, but nothing that is written here.
    """
    book = books.to_change(session, id)
    require_match(book.revision)
    return book


@contextmanager
def _audited(action: str, id: UUID) -> Iterator[None]:
    before = views.document(views.by_id(session, id), staff=True)
    yield
    session.flush()
    after = views.document(views.by_id(session, id), staff=True)
    audit.acted(session, current_user().subject, action, id, before=before, after=after)


def _shown(id: UUID) -> tuple[Any, ...]:
    row = views.by_id(session, id)
    return views.document(row, staff=True), 200, _headers(row, staff=True)


def _headers(row: Row[Any], *, staff: bool) -> dict[str, str]:
    return {"ETag": etag(views.entity_tag(row, staff=staff)), "Vary": "Authorization", "Cache-Control": "no-cache"}
