"""What the catalog does with an order's stock, as its worker would: duplicates, wrong order, and scarcity included."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from catalog_service.domain import stock
from catalog_service.domain.reservations import NothingReserved
from catalog_service.events import HANDLERS
from common.events.catalog import BookRestocked, StockChanged, StockLevel, StockRejected, StockReserved
from common.events.orders import OrderCancelled, OrderLine, OrderPaid, OrderPlaced, OrderRefunded
from tests.support.database import deliver, emitted


def placed(order_id, *lines):
    return OrderPlaced(
        order_id=order_id, user_id=uuid4(), number="B-1", lines=as_lines(lines), total=Decimal(1), currency="USD"
    )


def paid(order_id, *lines):
    return OrderPaid(order_id=order_id, user_id=uuid4(), lines=as_lines(lines))


def cancelled(order_id, *lines):
    return OrderCancelled(order_id=order_id, user_id=uuid4(), reason="unpaid", lines=as_lines(lines))


def refunded(order_id, *lines, restock=True):
    return OrderRefunded(
        order_id=order_id,
        user_id=uuid4(),
        amount=Decimal(1),
        currency="USD",
        restock=restock,
        lines=as_lines(lines),
    )


def as_lines(lines):
    return tuple(OrderLine(book_id=UUID(str(book_id)), quantity=quantity) for book_id, quantity in lines)


@pytest.fixture
def hear(database):
    """Delivers events in turn; gives what the catalog told about them."""

    def deliver_all(*events):
        before = len(emitted(database))
        for event in events:
            deliver(database, HANDLERS, event)
        return emitted(database)[before:]

    return deliver_all


@pytest.fixture
def in_order(database):
    """Whether every book agrees with its ledger."""

    def check():
        with database.read() as session:
            return stock.disagreements(session) == []

    return check


def test_an_order_is_reserved_then_sold(add_book, stock_of, hear, in_order):
    book, order = add_book(stock=5)["id"], uuid4()
    changed, reserved = hear(placed(order, (book, 2)))
    assert stock_of(book) == (5, 2)
    left = StockLevel(book_id=changed.book_id, version=changed.version, available=3)
    assert (changed.available, reserved) == (3, StockReserved(order_id=order, stock=(left,)))
    assert hear(paid(order, (book, 2))) == []  # what can be sold is the same as before
    assert stock_of(book) == (3, 0)
    assert in_order()


def test_all_or_nothing(add_book, stock_of, hear, in_order):
    plenty, scarce, order = add_book(stock=9)["id"], add_book(stock=1)["id"], uuid4()
    (told,) = hear(placed(order, (plenty, 2), (scarce, 3)))
    assert isinstance(told, StockRejected)
    assert told.reason == "out_of_stock"
    assert [(str(line.book_id), line.requested, line.available) for line in told.lines] == [(scarce, 3, 1)]
    assert (stock_of(plenty), stock_of(scarce)) == ((9, 0), (1, 0))
    assert in_order()


def test_a_book_on_two_lines_adds_up(add_book, stock_of, hear):
    book = add_book(stock=3)["id"]
    (told,) = hear(placed(uuid4(), (book, 2), (book, 2)))
    assert told.lines[0].requested == 4
    hear(placed(uuid4(), (book, 2), (book, 1)))
    assert stock_of(book) == (3, 3)


def test_a_book_that_is_off_sale_or_unknown_cannot_be_had(client, admin, add_book, hear):
    book = add_book(stock=3)["id"]
    client.delete(f"/api/v1/books/{book}", headers=admin)
    (told,) = hear(placed(uuid4(), (book, 1), (uuid4(), 1)))
    assert [line.available for line in told.lines] == [0, 0]


def test_duplicates_change_nothing(add_book, stock_of, hear, in_order):
    book, order = add_book(stock=5)["id"], uuid4()
    line = (book, 2)
    hear(placed(order, line))
    assert [type(event) for event in hear(placed(order, line))] == [StockReserved]
    hear(paid(order, line))
    assert hear(paid(order, line), placed(order, line), cancelled(order, line)) == []
    assert stock_of(book) == (3, 0)
    hear(refunded(order, line))
    assert hear(refunded(order, line)) == []
    assert stock_of(book) == (5, 0)
    assert in_order()


def test_a_cancelled_order_releases_its_stock_once(add_book, stock_of, hear, in_order):
    book, order = add_book(stock=2)["id"], uuid4()
    hear(placed(order, (book, 2)))
    told = hear(cancelled(order, (book, 2)))
    assert [type(event) for event in told] == [StockChanged, BookRestocked]
    assert hear(cancelled(order, (book, 2)), paid(order, (book, 2))) == []
    assert stock_of(book) == (2, 0)
    assert in_order()


def test_an_order_cancelled_before_it_was_placed_gets_nothing(add_book, stock_of, hear):
    book, order = add_book(stock=2)["id"], uuid4()
    assert hear(cancelled(order, (book, 2)), placed(order, (book, 2))) == []
    assert stock_of(book) == (2, 0)


def test_a_rejected_order_stays_rejected(add_book, stock_of, hear):
    book, order = add_book(stock=1)["id"], uuid4()
    hear(placed(order, (book, 2)))
    again = hear(placed(order, (book, 2)), cancelled(order, (book, 2)), paid(order, (book, 2)))
    assert [type(event) for event in again] == [StockRejected]
    assert stock_of(book) == (1, 0)


def test_payment_of_an_order_never_heard_of_is_not_swallowed(add_book, hear):
    with pytest.raises(NothingReserved):
        hear(paid(uuid4(), (add_book(stock=1)["id"], 1)))


def test_a_refund_takes_back_no_more_than_was_bought(add_book, stock_of, hear, in_order):
    book, other, order = add_book(stock=5)["id"], add_book(stock=5)["id"], uuid4()
    hear(placed(order, (book, 3)), paid(order, (book, 3)))
    hear(refunded(order, (book, 3), restock=False))
    assert stock_of(book) == (2, 0)
    hear(refunded(order, (book, 2), (other, 1)), refunded(order, (book, 2)))
    assert (stock_of(book), stock_of(other)) == ((5, 0), (5, 0))
    assert in_order()


def test_a_refund_of_what_was_never_sold_restocks_nothing(add_book, stock_of, hear):
    book, order = add_book(stock=5)["id"], uuid4()
    hear(placed(order, (book, 3)), cancelled(order, (book, 3)), refunded(order, (book, 3)))
    assert stock_of(book) == (5, 0)


def test_thirty_orders_at_once_for_ten_copies(add_book, stock_of, database, in_order):
    book = add_book(stock=10)["id"]
    orders = [uuid4() for _ in range(30)]
    with ThreadPoolExecutor(15) as pool:
        list(pool.map(lambda order: deliver(database, HANDLERS, placed(order, (book, 1))), orders))
    told = emitted(database)
    assert sum(isinstance(event, StockReserved) for event in told) == 10
    assert sum(isinstance(event, StockRejected) for event in told) == 20
    assert stock_of(book) == (10, 10)
    versions = [event.version for event in told if isinstance(event, StockChanged)]
    assert versions == sorted(versions)
    assert in_order()


def test_orders_of_the_same_books_in_any_order_do_not_block_each_other(add_book, stock_of, database, in_order):
    books = [add_book(stock=20)["id"] for _ in range(4)]

    def live(number):
        order, lines = uuid4(), [(book, 1) for book in (books if number % 2 else reversed(books))]
        deliver(database, HANDLERS, placed(order, *lines))
        deliver(database, HANDLERS, (paid if number % 3 else cancelled)(order, *lines))

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(live, range(18)))
    assert [stock_of(book) for book in books] == [(8, 0)] * 4
    assert in_order()


def test_bestsellers_come_first(client, add_book, hear):
    slow, quick = add_book("Slow", stock=5)["id"], add_book("Quick", stock=5)["id"]
    for book, quantity in ((slow, 1), (quick, 3)):
        order = uuid4()
        hear(placed(order, (book, quantity)), paid(order, (book, quantity)))
    add_book("Unsold")
    titles = [book["title"] for book in client.get("/api/v1/books?sort=bestselling").json["items"]]
    assert titles == ["Quick", "Slow", "Unsold"]


def test_an_order_placed_again_is_told_the_same_decision_and_moves_nothing(add_book, stock_of, hear):
    book, held, refused = add_book(stock=3)["id"], uuid4(), uuid4()
    hear(placed(held, (book, 1)), placed(refused, (book, 1000)))
    before = stock_of(book)
    assert [type(event) for event in hear(placed(held, (book, 1)))] == [StockReserved]
    assert [type(event) for event in hear(placed(refused, (book, 1000)))] == [StockRejected]
    assert stock_of(book) == before
    hear(paid(held))
    assert hear(placed(held, (book, 1))) == []


def test_a_refund_that_overtakes_its_payment_still_brings_the_books_back(hear, add_book, stock_of):
    book, order = add_book(stock=5)["id"], uuid4()
    hear(placed(order, (book, 3)))
    hear(refunded(order, (book, 3)), paid(order, (book, 3)))
    assert stock_of(book) == (5, 0)


def test_a_refund_of_an_order_that_is_not_known_yet_is_tried_again(hear, add_book):
    with pytest.raises(NothingReserved):
        hear(refunded(uuid4(), (add_book()["id"], 1)))
