"""What this service asks of the others, where an event may not have come yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from common.client import ServiceClient
from review_service.config import ReviewConfig
from review_service.domain.purchases import Bought

SCOPE = "replicas:read"
PAGE_SIZE = 1000


class _Page(BaseModel):
    items: list[Bought]
    next_cursor: str | None = None


class Orders:
    """Who bought what, as the order service has it. Every call raises Unavailable when it does not answer."""

    def __init__(self, config: ReviewConfig) -> None:
        self._client = ServiceClient(config, config.order_url, scope=SCOPE)

    def purchases_of(self, user_id: UUID, book_id: UUID) -> list[Bought]:
        return self._page({"user_id": str(user_id), "book_id": str(book_id)}).items

    def all_purchases(self) -> Iterator[list[Bought]]:
        """Every purchase that was not refunded, page by page."""
        cursor: dict[str, Any] = {}
        while True:
            page = self._page({"limit": PAGE_SIZE} | cursor)
            yield page.items
            if page.next_cursor is None:
                return
            cursor = {"cursor": page.next_cursor}

    def _page(self, query: dict[str, Any]) -> _Page:
        return _Page.model_validate(self._client.get("/internal/purchases", query))


class Catalog:
    """Whether there is such a book."""

    def __init__(self, config: ReviewConfig) -> None:
        self._client = ServiceClient(config, config.catalog_url, scope=SCOPE)

    def require_book(self, book_id: UUID) -> None:
        """Raises NotFound when there is none, Unavailable when the catalog does not answer."""
        self._client.get(f"/internal/books/{book_id}")
