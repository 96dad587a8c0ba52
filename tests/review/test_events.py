"""What the other services tell, told once or more often, early or late."""

from __future__ import annotations

import random
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from common import inbox
from common.db import Database, utcnow
from common.events import Envelope, Event
from common.events.auth import UserErased, UserUpdated
from common.ids import new_id
from common.inbox import Dispatcher
from review_service.domain import people, purchases, ratings
from review_service.events import HANDLERS
from tests.review.factories import buy, paid, post, refunded, reviewed
from tests.review.peer import Peer
from tests.support.database import deliver, emitted

# The application's fixture empties the tables after each test.
pytestmark = pytest.mark.usefixtures("client")


def has_bought(database: Database, user: UUID, book: UUID) -> bool:
    with database.read() as session:
        return purchases.has_bought(session, user, book)


def renamed(user: UUID, name: str) -> UserUpdated:
    return UserUpdated(user_id=user, username=name, email="someone@example.com", role="customer")


def envelope(event: Event) -> Envelope:
    return Envelope(
        id=new_id(), name=event.name, key=event.key, body=event.model_dump_json().encode(), recorded_at=utcnow()
    )


def test_an_order_that_was_paid_makes_a_buyer_of_each_of_its_books(database: Database) -> None:
    user, first, second = new_id(), new_id(), new_id()
    deliver(database, HANDLERS, paid(user, first, second, first))
    assert has_bought(database, user, first)
    assert has_bought(database, user, second)
    assert not has_bought(database, new_id(), first)


def test_a_refund_ends_the_right_to_review_and_leaves_the_review(database: Database, client: FlaskClient) -> None:
    user, book, other, order = new_id(), new_id(), new_id(), new_id()
    deliver(database, HANDLERS, paid(user, book, other, order=order))
    review = post(client, book, user=user).json
    deliver(database, HANDLERS, refunded(user, book, other, order=order))
    assert not has_bought(database, user, other)
    assert client.get(f"/api/v1/reviews/{review['id']}").status_code == 200


@pytest.mark.parametrize("seed", range(5))
def test_repeated_and_late_events_end_as_they_would_in_order(database: Database, seed: int) -> None:
    user, book, kept, order = new_id(), new_id(), new_id(), new_id()
    told = [paid(user, book, order=order), refunded(user, book, order=order), paid(user, kept)] * 3
    random.Random(seed).shuffle(told)
    for event in told:
        deliver(database, HANDLERS, event)
    assert not has_bought(database, user, book)
    assert has_bought(database, user, kept)


def test_an_event_that_comes_twice_from_the_bus_is_handled_once(database: Database, client: FlaskClient) -> None:
    user = new_id()
    review = reviewed(database, client, new_id(), user=user)
    told = envelope(renamed(user, "grace"))
    assert inbox.stage(database, [told]) == 1
    assert inbox.stage(database, [told, envelope(paid(user, new_id()))]) == 1
    dispatcher = Dispatcher(database, HANDLERS)
    while dispatcher.handle_next():
        pass
    shown = client.get(f"/api/v1/reviews/{review['id']}")
    assert shown.json["user"]["name"] == "grace"
    with database.read() as session:
        assert inbox.lag(session) == (0, 0)


def test_a_renaming_shows_on_what_was_written_before_and_after(database: Database, client: FlaskClient) -> None:
    user = new_id()
    before = reviewed(database, client, new_id(), user=user, username="ada")
    deliver(database, HANDLERS, renamed(user, "ada.l"))
    later = reviewed(database, client, new_id(), user=user, username="ada")
    assert later["user"]["name"] == "ada.l"
    shown = client.get(f"/api/v1/reviews/{before['id']}", headers={"If-None-Match": before["etag"]})
    assert shown.json["user"] == {"id": str(user), "name": "ada.l"}


def test_a_new_role_changes_no_review(database: Database, client: FlaskClient) -> None:
    user = new_id()
    review = reviewed(database, client, new_id(), user=user, username="ada")
    deliver(database, HANDLERS, renamed(user, "ada"))
    assert client.get(f"/api/v1/reviews/{review['id']}").headers["ETag"] == review["etag"]


def test_an_erased_person_is_gone_and_the_catalog_is_told(database: Database, client: FlaskClient) -> None:
    user, book = new_id(), new_id()
    review = reviewed(database, client, book, user=user, rating=1)
    reviewed(database, client, book, rating=5)
    for _ in range(2):
        deliver(database, HANDLERS, UserErased(user_id=user))
    assert client.get(f"/api/v1/reviews/{review['id']}").status_code == 404
    assert not has_bought(database, user, book)
    last = emitted(database)[-1].model_dump()
    assert (last["count"], str(last["average"])) == (1, "5.00")
    with database.read() as session:
        assert not ratings.disagreements(session)


def test_what_is_told_late_of_an_erased_person_leaves_nothing(database: Database) -> None:
    user, book, order = new_id(), new_id(), new_id()
    told: list[Event] = [
        UserErased(user_id=user),
        renamed(user, "ada"),
        paid(user, book, order=order),
        refunded(user, book, order=order),
    ]
    for event in told:
        deliver(database, HANDLERS, event)
    with database.read() as session:
        assert not any(people.data(session, user).values())


@pytest.mark.usefixtures("without_purchase")
def test_whoever_buys_after_reviewing_is_verified(database: Database, client: FlaskClient, peer: Peer) -> None:
    user, book = new_id(), new_id()
    peer.books.add(book)
    review = post(client, book, user=user).json
    assert review["verified_purchase"] is False
    buy(database, user, book)
    assert client.get(f"/api/v1/reviews/{review['id']}").json["verified_purchase"] is True
