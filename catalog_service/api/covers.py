"""Covers: of every book one, drawn where there is no picture."""

from __future__ import annotations

from typing import Annotated, Any

from flask import Blueprint, Response, redirect
from pydantic import Field

from catalog_service.api.stored import FOREVER, HARMLESS, storage
from catalog_service.domain import covers, images, views
from common.api import FileContent, Request, accepts, returns
from common.auth import public
from common.conditional import etag, not_modified
from common.db import session, transaction

api = Blueprint("covers", __name__, url_prefix="/api/v1/books/<reference>/cover")


class CoverQuery(Request):
    v: Annotated[str, Field(max_length=64)] | None = Field(None, description="As in the book's cover_url.")


@api.get("")
@public
@accepts(query=CoverQuery)
@returns(FileContent((covers.CONTENT_TYPE,)), description="The cover that is drawn from title and authors, as WebP.")
@returns(None, status=302, description="Without `v`: to the first of the book's images, if it has any.")
def get_cover(reference: str, query: CoverQuery) -> Any:
    """The cover of the book with this id or ISBN, also when it is off sale: orders still show it."""
    id, title, author_names = covers.subject(session, views.named_by(reference))
    if query.v is None and (first := images.first(session, id)):
        return redirect(images.url(first))
    current = covers.version(id, title, author_names)
    caching = FOREVER if query.v == current else "public, no-cache"
    headers = HARMLESS | {"ETag": etag(current), "Cache-Control": caching}
    if not_modified(current):
        return Response(status=304, headers=headers)
    drawn = covers.picture(transaction, storage, id, title, author_names)
    return Response(drawn, headers=headers, content_type=covers.CONTENT_TYPE)
