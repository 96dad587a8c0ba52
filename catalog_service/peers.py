"""What this service asks of the others: how orders stand, and what replicas are rebuilt from.

Each raises Unavailable when the other does not answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from pydantic import BaseModel, TypeAdapter

from catalog_service.config import CatalogConfig
from catalog_service.domain.ratings import Rating
from common.client import ServiceClient

SCOPE = "replicas:read"
PAGE_SIZE = 500


class _State(BaseModel):
    order_id: UUID
    status: str


class _States(BaseModel):
    items: list[_State]


class _Sale(BaseModel):
    order_id: UUID


_RATINGS = TypeAdapter(list[Rating])
_SALES = TypeAdapter(list[_Sale])


class Reviews:
    """How books are rated, as the review service counts."""

    def __init__(self, config: CatalogConfig) -> None:
        self._client = ServiceClient(config, config.review_url, scope=SCOPE)

    def ratings(self) -> Iterator[list[Rating]]:
        """Every rating, page by page."""
        for items in self._client.pages("/internal/ratings", {"limit": PAGE_SIZE}):
            yield _RATINGS.validate_python(items)


class Orders:
    """How orders stand, and which were paid."""

    def __init__(self, config: CatalogConfig) -> None:
        self._client = ServiceClient(config, config.order_url, scope=SCOPE)

    def states(self, order_ids: Sequence[UUID]) -> dict[UUID, str]:
        """The status of each that exists, of at most a hundred."""
        answer = self._client.get("/internal/orders/states", {"id": [str(id) for id in order_ids]})
        return {each.order_id: each.status for each in _States.model_validate(answer).items}

    def sales(self) -> Iterator[list[UUID]]:
        """Every order that was ever paid, page by page."""
        for items in self._client.pages("/internal/sales", {"limit": PAGE_SIZE}):
            yield [sale.order_id for sale in _SALES.validate_python(items)]
