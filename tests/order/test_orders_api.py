"""Placing, paying and moving orders, as API.md promises."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import func, select, text

from common.db import Database
from common.events.catalog import BookChanged
from common.events.orders import OrderCancelled, OrderPaid, OrderPlaced, OrderRefunded
from common.ids import new_id
from order_service.events import HANDLERS
from order_service.models import Order, SimulatedCharge
from tests.order.conftest import told
from tests.order.shop import Shop
from tests.support.database import deliver, emitted
from tests.support.tokens import bearer
from tests.support.waiting import eventually


def count(database: Database, model: type) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def events(database: Database, kind: type) -> list[object]:
    return [event for event in emitted(database) if isinstance(event, kind)]


def test_an_order_has_our_prices_and_asks_for_its_stock(shop: Shop, database: Database, book: UUID) -> None:
    answer = shop.place(book, 2)
    order = answer.json
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/api/v1/orders/{order['id']}"
    assert (order["status"], order["total"], order["currency"]) == ("PENDING", "25.98", "USD")
    assert order["items"] == [
        {
            "book_id": str(book),
            "title": "Middlemarch",
            "quantity": 2,
            "unit_price": "12.99",
            "line_total": "25.98",
        }
    ]
    assert order["subtotal"] == "25.98"
    assert order["discount"] == order["shipping"] == order["tax"] == "0.00"
    assert order["payment"] is None
    (placed,) = events(database, OrderPlaced)
    assert (str(placed.order_id), placed.lines[0].quantity) == (order["id"], 2)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"items": [{"book_id": str(new_id()), "quantity": 1, "unit_price": "0.01"}]}, 422),
        ({"items": [{"book_id": str(new_id()), "quantity": 0}]}, 422),
        ({"items": [{"book_id": str(new_id()), "quantity": 2**31}]}, 422),
        ({"items": [{"book_id": "x", "quantity": 1}]}, 422),
        ({"items": []}, 422),
        ({"total": "1.00"}, 422),
        ({}, 409),
    ],
)
def test_a_bad_order_is_refused_and_leaves_nothing(shop: Shop, database: Database, body: object, status: int) -> None:
    assert shop.post("/orders", body).status_code == status
    assert count(database, Order) == 0


def test_an_empty_cart_cannot_be_ordered(shop: Shop) -> None:
    answer = shop.post("/orders/checkout")
    assert (answer.status_code, answer.json["code"]) == (409, "empty_cart")


def test_a_book_that_the_catalog_cannot_be_asked_about_is_a_503(shop: Shop) -> None:
    answer = shop.place(new_id())
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]


def test_a_book_off_sale_cannot_be_ordered_but_stays_in_orders(shop: Shop, database: Database, book: UUID) -> None:
    order_id = shop.place(book).json["id"]
    state = told(book, version=2, is_active=False, title="Gone").model_dump()
    deliver(database, HANDLERS, BookChanged(**state))
    assert shop.place(book).status_code == 404
    assert shop.get(f"/orders/{order_id}").json["items"][0]["title"] == "Middlemarch"


def test_orders_of_somebody_else_are_absent(shop: Shop, book: UUID) -> None:
    order_id = shop.confirmed(book)
    shop.customer = bearer()
    assert shop.get(f"/orders/{order_id}").status_code == 404
    assert shop.pay(order_id).status_code == 404
    assert shop.post(f"/orders/{order_id}/cancel").status_code == 404
    assert shop.get("/orders").json["items"] == []
    assert shop.get("/admin/orders").status_code == 403
    for path in (f"/orders/{order_id}", f"/admin/orders/{order_id}"):
        assert shop.send("PATCH", f"{path}/status", {"status": "SHIPPED"}).status_code == 403
        assert shop.post(f"{path}/refund").status_code == 403


def test_the_whole_way_of_an_order(shop: Shop, database: Database, book: UUID) -> None:
    order_id = shop.paid(book)
    assert shop.move(order_id, "SHIPPED").json["status"] == "SHIPPED"
    assert shop.move(order_id, "DELIVERED").json["status"] == "DELIVERED"
    order = shop.get(f"/orders/{order_id}").json
    assert [entry["status"] for entry in order["history"]] == ["PENDING", "CONFIRMED", "PAID", "SHIPPED", "DELIVERED"]
    assert order["payment"]["status"] == "SUCCEEDED"
    assert len(events(database, OrderPaid)) == 1


@pytest.mark.parametrize("status", ["PENDING", "CONFIRMED", "PAID", "PAYMENT_FAILED", "DELIVERED"])
def test_staff_cannot_declare_what_must_happen(shop: Shop, book: UUID, status: str) -> None:
    order_id = shop.confirmed(book)
    answer = shop.move(order_id, status)
    assert (answer.status_code, answer.json["code"]) == (409, "illegal_transition")
    assert shop.status(order_id) == "CONFIRMED"


def test_a_rejected_order_says_what_is_short(shop: Shop, book: UUID) -> None:
    order_id = shop.place(book, 5, Idempotency_Key="k").json["id"]
    shop.rejected(order_id, book, 5, 2)
    order = shop.get(f"/orders/{order_id}").json
    assert order["status"] == "CANCELLED"
    assert order["history"][-1]["reason"] == "out_of_stock"


def test_waiting_answers_with_the_decision(shop: Shop, database: Database, book: UUID) -> None:
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(shop.place, book, 1, Prefer="respond-async, wait=5")
        (placed,) = eventually(lambda: events(database, OrderPlaced))
        shop.reserved(str(placed.order_id))
        answer = asked.result(10)
    assert (answer.status_code, answer.json["status"]) == (201, "CONFIRMED")
    assert answer.headers["Preference-Applied"] == "wait=5"


def test_waiting_for_too_much_is_a_conflict_with_the_lines_short(shop: Shop, database: Database, book: UUID) -> None:
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(shop.place, book, 5, Prefer="wait=5", Idempotency_Key="short")
        (placed,) = eventually(lambda: events(database, OrderPlaced))
        shop.rejected(str(placed.order_id), book, 5, 2)
        answer = asked.result(10)
    assert (answer.status_code, answer.json["code"]) == (409, "out_of_stock")
    assert answer.json["lines"] == [{"book_id": str(book), "requested": 5, "available": 2}]
    again = shop.place(book, 5, Prefer="wait=5", Idempotency_Key="short")
    assert (again.status_code, again.json) == (409, answer.json)
    assert again.headers["Idempotency-Replayed"] == "true"


def test_a_wait_in_vain_ends_and_the_next_does_not_wait(shop: Shop, book: UUID) -> None:
    assert shop.place(book, Prefer="wait=1").json["status"] == "PENDING"
    waiter = shop.client.application.extensions["decisions"]
    with waiter.expecting(new_id(), 5) as wait:
        wait(lambda: pytest.fail("looked, though nobody should wait now"))


def test_the_same_key_gives_the_first_answer(shop: Shop, database: Database, book: UUID) -> None:
    first = shop.place(book, Idempotency_Key="one")
    shop.reserved(first.json["id"])
    again = shop.place(book, Idempotency_Key="one")
    assert (again.status_code, again.json) == (201, first.json)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    assert "Idempotency-Replayed" not in first.headers
    assert count(database, Order) == 1
    other = shop.place(book, 3, Idempotency_Key="one")
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")
    shop.customer = bearer()
    assert shop.place(book, Idempotency_Key="one").json["id"] != first.json["id"]


def test_one_key_in_parallel_makes_one_order(shop: Shop, database: Database, book: UUID) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: shop.place(book, Idempotency_Key="race"), range(8)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert {answer.json["code"] for answer in answers if answer.status_code == 409} <= {"idempotency_in_progress"}
    assert count(database, Order) == 1


def test_a_key_whose_process_died_is_answered_from_the_order(shop: Shop, database: Database, book: UUID) -> None:
    first = shop.place(book, Idempotency_Key="crash").json
    with database.transaction() as session:
        session.execute(text("UPDATE idempotency_keys SET answer = NULL, answer_status = NULL"))
    assert shop.place(book, Idempotency_Key="crash").json["code"] == "idempotency_in_progress"
    with database.transaction() as session:
        session.execute(text("UPDATE idempotency_keys SET running_until = now() - interval '1 second'"))
    shop.reserved(first["id"])
    again = shop.place(book, Idempotency_Key="crash")
    assert (again.json["id"], again.json["status"]) == (first["id"], "CONFIRMED")
    assert count(database, Order) == 1


def test_a_refused_request_leaves_its_key_free(shop: Shop, book: UUID) -> None:
    assert shop.post("/orders", {}, Idempotency_Key="k").status_code == 409
    assert shop.place(book, Idempotency_Key="k").status_code == 201


def test_a_declined_payment_may_be_tried_again(shop: Shop, database: Database, book: UUID) -> None:
    order_id = shop.confirmed(book)
    declined = shop.pay(order_id, "tok_chargeDeclinedInsufficientFunds")
    assert (declined.status_code, declined.json["code"]) == (402, "payment_declined")
    assert declined.json["reason"] == "insufficient_funds"
    assert shop.status(order_id) == "PAYMENT_FAILED"
    assert shop.pay(order_id).json["status"] == "PAID"
    assert shop.pay(order_id).status_code == 409
    assert len(events(database, OrderPaid)) == 1


def test_only_a_confirmed_order_can_be_paid(shop: Shop, book: UUID) -> None:
    assert shop.pay(shop.place(book).json["id"]).status_code == 409
    assert shop.pay(shop.confirmed(book), "tok_monopoly_money").status_code == 422


def test_parallel_payments_charge_once(shop: Shop, database: Database, book: UUID) -> None:
    order_id = shop.confirmed(book)
    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(answer.status_code for answer in pool.map(lambda _: shop.pay(order_id), range(8)))
    assert statuses == [200] + [409] * 7
    assert count(database, SimulatedCharge) == 1


def test_a_payment_repeated_under_its_key_is_one_payment(shop: Shop, database: Database, book: UUID) -> None:
    order_id = shop.confirmed(book)
    first = shop.pay(order_id, Idempotency_Key="pay")
    again = shop.pay(order_id, Idempotency_Key="pay")
    assert (again.status_code, again.json) == (first.status_code, first.json)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert shop.pay(order_id, "tok_amex", Idempotency_Key="pay").status_code == 422
    assert count(database, SimulatedCharge) == 1


def test_cancelling_before_payment_releases_the_stock(shop: Shop, database: Database, book: UUID) -> None:
    order_id = shop.confirmed(book)
    assert shop.post(f"/orders/{order_id}/cancel").json["status"] == "CANCELLED"
    (event,) = events(database, OrderCancelled)
    assert (event.reason, event.lines[0].quantity) == ("cancelled_by_customer", 1)
    assert shop.post(f"/orders/{order_id}/cancel").status_code == 409


def test_cancelling_after_payment_gives_the_money_back(shop: Shop, database: Database, book: UUID) -> None:
    order_id = shop.paid(book)
    order = shop.post(f"/orders/{order_id}/cancel", {"reason": "changed my mind"}).json
    assert (order["status"], order["payment"]["refunded"]) == ("REFUNDED", "12.99")
    (event,) = events(database, OrderRefunded)
    assert (event.restock, event.amount) == (True, Decimal("12.99"))


def test_a_shipped_order_cannot_be_cancelled(shop: Shop, book: UUID) -> None:
    order_id = shop.paid(book)
    shop.move(order_id, "SHIPPED")
    assert shop.post(f"/orders/{order_id}/cancel").status_code == 409


def test_refunds_never_exceed_what_was_paid(shop: Shop, book: UUID) -> None:
    order_id = shop.paid(book)
    path = f"/orders/{order_id}/refund"
    assert shop.post(path, {"amount": "13.00"}, staff=True).json["code"] == "refund_too_large"
    part = shop.post(path, {"amount": "10.00"}, staff=True, Idempotency_Key="part").json
    assert (part["status"], part["payment"]["refunded"]) == ("PAID", "10.00")
    again = shop.post(path, {"amount": "10.00"}, staff=True, Idempotency_Key="part")
    assert again.headers["Idempotency-Replayed"] == "true"
    assert shop.post(path, {"amount": "3.00"}, staff=True).status_code == 409
    rest = shop.post(path, {"restock": True}, staff=True).json
    assert (rest["status"], rest["payment"]["refunded"]) == ("REFUNDED", "12.99")
    assert shop.post(path, staff=True).status_code == 409


@pytest.mark.parametrize("amount", ["1e0", "1_0", "\u0661", "0", "0.00", 0, "-1.00", "1.001", "NaN", True])
def test_only_an_amount_is_refunded(shop: Shop, book: UUID, amount: object) -> None:
    order_id = shop.paid(book)
    answer = shop.post(f"/orders/{order_id}/refund", {"amount": amount}, staff=True)
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "amount")
    assert shop.get(f"/orders/{order_id}").json["payment"]["refunded"] == "0.00"


def test_parallel_refunds_never_exceed_what_was_paid(shop: Shop, book: UUID) -> None:
    order_id = shop.paid(book)
    path = f"/orders/{order_id}/refund"
    with ThreadPoolExecutor(6) as pool:
        codes = list(pool.map(lambda _: shop.post(path, {"amount": "5.00"}, staff=True).status_code, range(6)))
    assert codes.count(200) == 2
    assert shop.get(f"/orders/{order_id}").json["payment"]["refunded"] == "10.00"


def test_nothing_is_refunded_that_was_not_paid(shop: Shop, book: UUID) -> None:
    answer = shop.post(f"/admin/orders/{shop.confirmed(book)}/refund", staff=True)
    assert (answer.status_code, answer.json["code"]) == (409, "not_paid")


def test_staff_find_orders(shop: Shop, database: Database, book: UUID) -> None:
    order = shop.place(book).json
    shop.paid(book)
    assert len(shop.get("/admin/orders?status=PAID", staff=True).json["items"]) == 1
    assert len(shop.get(f"/admin/orders?user={shop.user_id}&total=true&limit=1", staff=True).json["items"]) == 1
    assert shop.get(f"/admin/orders?q={order['number']}", staff=True).json["items"][0]["id"] == order["id"]
    assert shop.get("/admin/orders?q=middle", staff=True).json["items"]
    assert shop.get("/admin/orders?q=%25%25", staff=True).json["items"] == []
    assert shop.get("/admin/orders?from=2999-01-01T00:00:00Z", staff=True).json["items"] == []
    assert shop.get("/admin/orders?status=NONE", staff=True).status_code == 422


def test_a_list_of_orders_is_walked_without_gap_or_repeat(shop: Shop, book: UUID) -> None:
    placed = [shop.place(book).json["id"] for _ in range(5)]
    first = shop.get("/orders?limit=3&total=true").json
    rest = shop.get(f"/orders?limit=3&cursor={first['next_cursor']}").json
    assert [order["id"] for order in first["items"] + rest["items"]] == placed[::-1]
    assert (first["total"], rest["next_cursor"]) == (5, None)


def test_purchases_are_for_services_only(shop: Shop, book: UUID) -> None:
    shop.paid(book)
    path = f"/internal/purchases?user_id={shop.user_id}&book_id={book}"
    assert shop.client.get(path, headers=shop.staff).status_code == 403
    service = bearer(role=None, subject="review-service", scopes=["replicas:read"])
    (purchase,) = shop.client.get(path, headers=service).json["items"]
    assert (purchase["user_id"], purchase["book_id"]) == (str(shop.user_id), str(book))
