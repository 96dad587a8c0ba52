"""Pre-booking: a queue for each book, told in its order, for as many copies as came in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import update

from common.db import Database, utcnow
from common.events.catalog import BookRestocked, StockChanged
from common.events.orders import PrebookingDemandChanged
from common.ids import new_id
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
        deliver(self.database, HANDLERS, StockChanged(book_id=self.book, version=self.version, available=available))


def states(*people: Shop) -> list[str]:
    return [person.get("/prebooks").json["items"][0]["status"] for person in people]


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


def test_an_offer_ends(queue: Queue, database: Database, config: object) -> None:
    first, second = queue.join(), queue.join()
    queue.stock(1)
    with database.transaction() as session:
        late = update(Prebooking).where(Prebooking.user_id == first.user_id)
        session.execute(late.values(expires_at=utcnow() - timedelta(minutes=1)))
    expire_offers(database, config)  # type: ignore[arg-type]
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
