"""The place from which orders are followed."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from order_service.domain.updates import MAX_XACT, Cursor
from order_service.updates import TOO_MANY, Crowd, Listener
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


def listener(person: UUID | None = None, address: str = "192.0.2.1") -> Listener:
    return Listener(person or uuid4(), address, lambda: True)


def test_of_too_many_streams_the_oldest_ends_with_a_reason() -> None:
    crowd, person = Crowd(per_person=2, per_address=4), uuid4()
    first, second, third = (listener(person, f"192.0.2.{n}") for n in range(3))
    for each in (first, second, third):
        crowd.join(each)
    assert [each.closed_because for each in (first, second, third)] == [TOO_MANY, None, None]
    crowd.leave(first)
    crowd.leave(second)
    crowd.join(fourth := listener(person))
    assert not third.is_over
    assert not fourth.is_over


def test_an_address_has_its_share_whoever_is_there() -> None:
    crowd = Crowd(per_person=2, per_address=3)
    everybody = [listener(address=f"2001:db8::{n}") for n in range(5)]
    for each in everybody:
        crowd.join(each)
    assert [each.is_over for each in everybody] == [True, True, False, False, False]
    crowd.join(listener(address="2001:db8:0:1::1"))
    assert not everybody[2].is_over


def test_nothing_is_kept_of_who_has_left() -> None:
    crowd = Crowd(per_person=0, per_address=0)
    everybody = [listener() for _ in range(50)]
    for each in everybody:
        crowd.join(each)
    assert not any(each.is_over for each in everybody)
    for each in everybody:
        crowd.leave(each)
    assert not list(crowd)
    assert not crowd._of
