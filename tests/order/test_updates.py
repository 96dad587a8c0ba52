"""The place from which orders are followed."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest

from order_service.domain.updates import MAX_XACT, Cursor
from tests.order.shop import Shop


@pytest.fixture
def following(shop: Shop) -> Iterator[Shop]:
    yield shop
    shop.client.application.extensions["updates"].close()


def events(shop: Shop, last_id: str) -> Iterator[str]:
    headers = shop.customer | {"Last-Event-ID": last_id}
    answer = shop.client.get("/api/v1/orders/events", headers=headers, buffered=False)
    return (block.decode() if isinstance(block, bytes) else block for block in answer.response)


def test_who_comes_back_from_a_time_that_never_was_hears_what_happens_next(following: Shop, book: UUID) -> None:
    """A cursor of before a restore, say."""
    stream = events(following, str(Cursor(MAX_XACT)))
    place = next(stream).split("id: ")[1].strip()
    order_id = following.place(book).json["id"]
    assert order_id in next(stream)
    assert Cursor.parse(place) < Cursor(MAX_XACT)
