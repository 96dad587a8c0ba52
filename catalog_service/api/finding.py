"""Pages of the books that are found: in an order of the list's own, or the best matches first and then the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.orm import Session

from catalog_service.domain import search
from catalog_service.domain.search import POPULAR, Filters
from common.api import PageQuery
from common.pagination import cursor_at, is_cursor_of, listing, paginate

Document = Callable[[Row[Any]], Any]
BEFORE_THE_OTHERS = cursor_at(POPULAR, [2**62, UUID(int=2**128 - 1)])


def find(
    session: Session, filters: Filters, sort: str | None, query: PageQuery, row: Document
) -> tuple[dict[str, Any], Filters]:
    """A page of what fits, as `paginate` gives it, and the filters that found it: looser ones where nothing fits."""
    found = _page(session, filters, sort, query, row)
    if found["items"] or not (looser := search.loosened(session, filters)):
        return found, filters
    return _page(session, looser, sort, query, row), looser


def _page(session: Session, filters: Filters, sort: str | None, query: PageQuery, row: Document) -> dict[str, Any]:
    by, whole = search.order(filters, sort), search.statement(filters)
    if by[0].name != search.RANK:
        return paginate(session, whole, by=by, query=query, row=row)
    if query.cursor and is_cursor_of(POPULAR, query.cursor):
        others = listing(search.others(session, filters), POPULAR, part_of=whole)
        return paginate(session, others, by=POPULAR, query=query, row=row)
    page = paginate(session, listing(search.best(session, filters), by, part_of=whole), by=by, query=query, row=row)
    if query.cursor and page["next_cursor"] is None and search.are_many(session, filters):
        page["next_cursor"] = BEFORE_THE_OTHERS
    return page
