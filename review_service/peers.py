"""What this service asks of the others, where an event may not have come yet."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from pydantic import TypeAdapter

from common.client import ServiceClient
from review_service.config import ReviewConfig
from review_service.domain.purchases import Bought
from review_service.domain.reviewers import Named

SCOPE = "replicas:read"
PAGE_SIZE = 1000
PURCHASES = "/internal/purchases"

USERS = "/internal/users"

_BOUGHT = TypeAdapter(list[Bought])
_NAMED = TypeAdapter(list[Named])


class Orders:
    """Who bought what, as the order service has it. Every call raises Unavailable when it does not answer."""

    def __init__(self, config: ReviewConfig) -> None:
        self._client = ServiceClient(config, config.order_url, scope=SCOPE)

    def purchases_of(self, user_id: UUID, book_id: UUID) -> list[Bought]:
        page = self._client.get(PURCHASES, {"user_id": str(user_id), "book_id": str(book_id)})
        return _BOUGHT.validate_python(page["items"])

    def all_purchases(self) -> Iterator[list[Bought]]:
        """Every purchase that was not refunded, page by page."""
        for items in self._client.pages(PURCHASES, {"limit": PAGE_SIZE}):
            yield _BOUGHT.validate_python(items)


class Users:
    """What people are called."""

    def __init__(self, config: ReviewConfig) -> None:
        self._client = ServiceClient(config, config.auth_url, scope=SCOPE)

    def names(self) -> Iterator[list[Named]]:
        """Everybody's, page by page."""
        for items in self._client.pages(USERS, {"limit": PAGE_SIZE}):
            yield _NAMED.validate_python(items)


class Catalog:
    """Whether there is such a book."""

    def __init__(self, config: ReviewConfig) -> None:
        self._client = ServiceClient(config, config.catalog_url, scope=SCOPE)

    def require_book(self, book_id: UUID) -> None:
        """Raises NotFound when there is none, Unavailable when the catalog does not answer."""
        self._client.get(f"/internal/books/{book_id}")
