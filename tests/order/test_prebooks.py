"""Pre-booking: a queue for each book, told in its order, for as many copies as came in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import update

from common.db import Database, utcnow
from common.events.auth import UserErased
from common.events.catalog import BookChanged, BookRestocked, StockChanged, StockLevel, StockReserved
from common.events.orders import PrebookingDemandChanged
from common.ids import new_id
from order_service.config import OrderConfig
from order_service.domain import books, carts
from order_service.events import HANDLERS
from order_service.models import Prebooking
from order_service.timers import expire_offers
from tests.order.conftest import told
from tests.order.shop import Shop
from tests.order.test_rebuild import Catalog
from tests.support.database import deliver, emitted


class Queue:
    """People in the queue for one book, and the catalog's news about it."""

    def __init__(self, shop: Shop, database: Database) -> None:
        self.shop, self.database, self.book, self.version = shop, database, new_id(), 1
        deliver(database, HANDLERS, told(self.book, available=0))

    def join(self, quantity: int = 1) -> Shop:
        person = Shop(self.shop.client, self.database)
        answer = person.post("/prebooks", {"book_id": str(self.book), "quantity": quantity})
        assert answer.status_code == 201, answer.json
        return person

    def stock(self, available: int) -> None:
        self.version += 1
        self.tell(available)

    def tell(self, available: int) -> None:
        deliver(self.database, HANDLERS, StockChanged(book_id=self.book, version=self.version, available=available))

    def order(self, person: Shop, quantity: int) -> UUID:
        return UUID(person.place(self.book, quantity).json["id"])

    def reserved(self, order_id: UUID, available: int) -> None:
        """The catalog's decision, which may come before or after the book's own news of the same change."""
        level = StockLevel(book_id=self.book, version=self.version, available=available)
        deliver(self.database, HANDLERS, StockReserved(order_id=order_id, stock=(level,)))


def states(*people: Shop) -> list[str]:
    return [person.get("/prebooks").json["items"][0]["status"] for person in people]


def offers(*people: Shop) -> list[int]:
    """How many copies each is offered now."""
    entries = [person.get("/prebooks").json["items"][0] for person in people]
    return [entry["offered"] if entry["status"] == "NOTIFIED" else 0 for entry in entries]


@pytest.fixture
def queue(shop: Shop, database: Database) -> Queue:
    return Queue(shop, database)


def test_a_book_that_sold_out_a_moment_ago_can_be_waited_for_before_the_news_come(shop: Shop, book: UUID) -> None:
    shop.client.application.extensions["catalog"] = Catalog(told(book, version=9, available=0))
    assert shop.post("/prebooks", {"book_id": str(book), "quantity": 1}).status_code == 201


def test_only_what_is_out_of_stock_and_once(shop: Shop, book: UUID, queue: Queue) -> None:
    refused = shop.post("/prebooks", {"book_id": str(book), "quantity": 1})
    assert (refused.status_code, refused.json["code"]) == (409, "in_stock")
    person = queue.join(2)
    again = person.post("/prebooks", {"book_id": str(queue.book), "quantity": 1})
    assert (again.status_code, again.json["code"]) == (409, "already_prebooked")
    for quantity in (0, 100, "1", 1.5):
        assert shop.post("/prebooks", {"book_id": str(queue.book), "quantity": quantity}).status_code == 422


def test_as_many_are_told_as_came_in_and_in_order(queue: Queue) -> None:
    people = [queue.join() for _ in range(4)]
    queue.stock(2)
    assert states(*people) == ["NOTIFIED", "NOTIFIED", "WAITING", "WAITING"]
    queue.stock(2)
    assert states(*people) == ["NOTIFIED", "NOTIFIED", "WAITING", "WAITING"], "the same copies"
    queue.stock(3)
    assert states(*people) == ["NOTIFIED", "NOTIFIED", "NOTIFIED", "WAITING"]


def test_whose_turn_it_is_gets_what_there_is(queue: Queue) -> None:
    first, second = queue.join(5), queue.join(1)
    queue.stock(3)
    (entry,) = first.get("/prebooks").json["items"]
    assert (entry["status"], entry["offered"], entry["quantity"]) == ("NOTIFIED", 3, 5)
    assert states(second) == ["WAITING"]


def test_news_that_come_again_tell_nobody_twice(queue: Queue, database: Database) -> None:
    people = [queue.join() for _ in range(3)]
    queue.stock(1)
    for _ in range(3):
        deliver(database, HANDLERS, BookRestocked(book_id=queue.book, available=1))
    assert states(*people) == ["NOTIFIED", "WAITING", "WAITING"]


def test_what_is_called_off_goes_to_the_next(queue: Queue) -> None:
    first, second, third = (queue.join() for _ in range(3))
    queue.stock(1)
    (entry,) = first.get("/prebooks").json["items"]
    assert second.send("DELETE", f"/prebooks/{entry['id']}").status_code == 404, "somebody else's"
    assert first.send("DELETE", f"/prebooks/{entry['id']}").status_code == 204
    assert first.send("DELETE", f"/prebooks/{entry['id']}").status_code == 409
    assert states(first, second, third) == ["CANCELLED", "NOTIFIED", "WAITING"]


def test_an_offer_ends(queue: Queue, database: Database, config: OrderConfig) -> None:
    first, second = queue.join(), queue.join()
    queue.stock(1)
    with database.transaction() as session:
        late = update(Prebooking).where(Prebooking.user_id == first.user_id)
        session.execute(late.values(expires_at=utcnow() - timedelta(minutes=1)))
    expire_offers(database, config)
    assert states(first, second) == ["CANCELLED", "NOTIFIED"]


def test_an_order_fulfils(queue: Queue) -> None:
    first, second = queue.join(2), queue.join()
    queue.stock(2)
    (entry,) = first.get("/prebooks").json["items"]
    for _ in range(2):
        cart = first.post(f"/prebooks/{entry['id']}/cart").json
        assert [(each["book_id"], each["quantity"]) for each in cart["items"]] == [(str(queue.book), 2)]
    assert second.post(f"/prebooks/{entry['id']}/cart").status_code == 404
    order_id = first.post("/orders").json["id"]
    assert states(first) == ["NOTIFIED"]
    first.reserved(order_id)
    assert states(first, second) == ["FULFILLED", "WAITING"]
    assert first.post(f"/prebooks/{entry['id']}/cart").status_code == 409
    queue.stock(0)
    queue.stock(1)
    assert states(second) == ["NOTIFIED"]


def test_an_offer_waits_until_there_is_room_in_the_cart(queue: Queue, database: Database) -> None:
    first = queue.join()
    queue.stock(1)
    (entry,) = first.get("/prebooks").json["items"]
    others = [new_id() for _ in range(carts.MAX_TITLES)]
    with database.transaction() as session:
        books.take_over(session, [told(each) for each in others])
        for each in others:
            carts.add(session, first.user_id, each, 1)
    refused = first.post(f"/prebooks/{entry['id']}/cart")
    assert (refused.status_code, refused.json["code"]) == (409, "cart_full")
    item = first.get("/cart").json["items"][0]
    first.send("DELETE", f"/cart/items/{item['id']}")
    assert first.post(f"/prebooks/{entry['id']}/cart").status_code == 200


@pytest.mark.parametrize("is_news_first", [True, False])
def test_copies_that_the_first_left_go_to_the_next_and_no_others(queue: Queue, *, is_news_first: bool) -> None:
    first, second, third = queue.join(3), queue.join(2), queue.join()
    queue.stock(3)
    assert offers(first, second, third) == [3, 0, 0]
    order_id = queue.order(first, 2)
    queue.version += 1
    if is_news_first:
        queue.tell(1)
    queue.reserved(order_id, 1)
    assert (states(first), offers(second, third)) == (["FULFILLED"], [1, 0])
    queue.tell(1)
    assert offers(second, third) == [1, 0]
    queue.stock(2)
    assert offers(second, third) == [1, 1]


def test_a_decision_that_overtakes_the_books_news_loses_none_of_it(
    queue: Queue, shop: Shop, database: Database, config: OrderConfig
) -> None:
    first, second = queue.join(2), queue.join(2)
    queue.stock(2)
    order_id = queue.order(first, 1)
    queue.version += 3  # a new price, one copy more, and then the reservation
    queue.reserved(order_id, 2)
    assert offers(second) == [2]
    priced = told(queue.book, version=queue.version - 2, price=Decimal("5.00"), available=2)
    deliver(database, HANDLERS, BookChanged(**priced.model_dump()))
    deliver(database, HANDLERS, StockChanged(book_id=queue.book, version=queue.version - 1, available=3))
    cart = shop.post("/cart/items", {"book_id": str(queue.book), "quantity": 1}).json
    assert (cart["items"][0]["unit_price"], cart["items"][0]["available"]) == ("5.00", 2)
    expire_offers(database, config)
    assert offers(second) == [2]
    queue.stock(0)
    assert shop.get("/cart").json["items"][0]["available"] == 0


def test_a_decision_that_does_not_tell_of_stock_offers_nothing_before_the_books_news(queue: Queue) -> None:
    first, second = queue.join(2), queue.join(2)
    queue.stock(2)
    first.reserved(str(queue.order(first, 1)))
    assert states(first, second) == ["FULFILLED", "WAITING"]
    queue.stock(1)
    assert offers(second) == [1]


def test_what_was_missed_is_offered_by_the_clock(queue: Queue, database: Database, config: OrderConfig) -> None:
    first, second = queue.join(2), queue.join()
    queue.stock(2)
    order_id = queue.order(first, 1)
    queue.stock(1)
    first.reserved(str(order_id))
    assert states(first, second) == ["FULFILLED", "WAITING"]
    for _ in range(2):
        expire_offers(database, config)
        assert states(first, second) == ["FULFILLED", "NOTIFIED"]


def test_who_is_erased_leaves_their_copies_to_the_next(queue: Queue, database: Database) -> None:
    first, second = queue.join(), queue.join()
    queue.stock(1)
    deliver(database, HANDLERS, UserErased(user_id=first.user_id))
    assert offers(second) == [1]


def test_the_catalog_is_told_how_many_wait(queue: Queue, database: Database) -> None:
    queue.join(2)
    last = queue.join(3)
    queue.stock(2)
    (entry,) = last.get("/prebooks").json["items"]
    last.send("DELETE", f"/prebooks/{entry['id']}")
    told_of = [each for each in emitted(database) if isinstance(each, PrebookingDemandChanged)]
    assert [(each.version, each.waiting_count, each.waiting_quantity) for each in told_of] == [
        (1, 1, 2),
        (2, 2, 5),
        (3, 1, 3),
        (4, 0, 0),
    ]


def test_who_joins_while_copies_come_in_is_not_forgotten(queue: Queue) -> None:
    """Either they are refused, since it is in stock, or they are told."""

    def try_to_join(_: int) -> Shop | None:
        person = Shop(queue.shop.client.application.test_client(), queue.database)
        answer = person.post("/prebooks", {"book_id": str(queue.book), "quantity": 1})
        return person if answer.status_code == 201 else None

    with ThreadPoolExecutor(5) as threads:
        joining = [threads.submit(try_to_join, number) for number in range(4)]
        threads.submit(queue.stock, 9).result()
        joined = [person for person in (job.result() for job in joining) if person]
    assert states(*joined) == ["NOTIFIED"] * len(joined)
