"""Carts: today's prices, what changed since, and one order from one cart."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from uuid import UUID

import pytest

from common.db import Database
from common.events.catalog import BookChanged
from common.ids import new_id
from order_service.events import HANDLERS
from tests.order.conftest import told
from tests.order.shop import Shop
from tests.support.database import deliver
from tests.support.tokens import bearer


def put(shop: Shop, book: UUID, quantity: int = 1) -> dict:
    answer = shop.post("/cart/items", {"book_id": str(book), "quantity": quantity})
    assert answer.status_code == 201
    return answer.json["items"][0]


def titles(shop: Shop) -> set[str]:
    return {each["book_id"] for each in shop.get("/cart").json["items"]}


def change(database: Database, book: UUID, **changes: object) -> None:
    deliver(database, HANDLERS, BookChanged(**told(book, version=2, **changes).model_dump()))


def test_the_same_book_adds_up(shop: Shop, book: UUID) -> None:
    put(shop, book, 2)
    put(shop, book, 3)
    cart = shop.get("/cart").json
    assert [item["quantity"] for item in cart["items"]] == [5]
    assert (cart["subtotal"], cart["currency"], cart["warnings"]) == ("64.95", "USD", [])


def test_setting_a_quantity_does_not_add(shop: Shop, book: UUID) -> None:
    item = put(shop, book, 2)
    assert shop.send("PUT", f"/cart/items/{item['id']}", {"quantity": 3}).json["items"][0]["quantity"] == 3


@pytest.mark.parametrize("quantity", [0, -1, 100, 2**31, 1.5, "2", None, True])
def test_a_quantity_is_1_to_99(shop: Shop, book: UUID, quantity: object) -> None:
    assert shop.post("/cart/items", {"book_id": str(book), "quantity": quantity}).status_code == 422


def test_a_sum_above_99_is_refused_and_loses_nothing(shop: Shop, book: UUID) -> None:
    put(shop, book, 90)
    assert shop.post("/cart/items", {"book_id": str(book), "quantity": 10}).status_code == 422
    assert shop.get("/cart").json["items"][0]["quantity"] == 90


def test_a_price_sent_along_is_refused(shop: Shop, book: UUID) -> None:
    assert shop.post("/cart/items", {"book_id": str(book), "quantity": 1, "price": "0.01"}).status_code == 422


def test_what_changed_since_is_told(shop: Shop, database: Database, book: UUID) -> None:
    put(shop, book, 5)
    change(database, book, price=Decimal("14.00"), available=3)
    cart = shop.get("/cart").json
    assert {warning["code"] for warning in cart["warnings"]} == {"price_changed", "not_enough_stock"}
    assert (cart["items"][0]["unit_price"], cart["items"][0]["in_stock"]) == ("14.00", False)
    assert shop.post("/orders").json["total"] == "70.00"


def test_a_book_taken_off_sale_is_told_and_does_not_count(shop: Shop, database: Database, book: UUID) -> None:
    put(shop, book)
    change(database, book, is_active=False)
    cart = shop.get("/cart").json
    assert (cart["warnings"][0]["code"], cart["subtotal"]) == ("not_on_sale", "0.00")
    assert shop.post("/orders").status_code == 404
    assert len(shop.get("/cart").json["items"]) == 1


def test_taking_out_and_emptying(shop: Shop, book: UUID) -> None:
    item = put(shop, book)
    assert shop.send("DELETE", f"/cart/items/{item['id']}").status_code == 204
    assert shop.send("DELETE", f"/cart/items/{item['id']}").status_code == 404
    put(shop, book)
    assert shop.send("DELETE", "/cart").status_code == 204
    assert shop.get("/cart").json["items"] == []


def test_a_cart_is_its_owners(shop: Shop, book: UUID) -> None:
    item = put(shop, book)
    shop.customer = bearer()
    assert shop.get("/cart").json["items"] == []
    assert shop.send("PUT", f"/cart/items/{item['id']}", {"quantity": 9}).status_code == 404
    assert shop.send("DELETE", f"/cart/items/{item['id']}").status_code == 404
    assert shop.client.get("/api/v1/cart").json["items"] == []
    service = bearer(role=None, subject="s", scopes=["cart:write"])
    assert shop.client.get("/api/v1/cart", headers=service).status_code == 403


def test_one_cart_checked_out_in_parallel_is_one_order(shop: Shop, book: UUID) -> None:
    put(shop, book)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: shop.post("/orders/checkout"), range(6)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 5
    assert len(shop.get("/orders").json["items"]) == 1


def test_a_cart_gets_back_what_could_not_be_had(shop: Shop, book: UUID) -> None:
    put(shop, book, 4)
    order_id = shop.post("/orders").json["id"]
    assert shop.get("/cart").json["items"] == []
    shop.rejected(order_id, book, 4, 1)
    assert shop.get("/cart").json["items"][0]["quantity"] == 4


def test_a_cart_holds_100_titles(shop: Shop, database: Database) -> None:
    books = [new_id() for _ in range(102)]
    for each in books:
        deliver(database, HANDLERS, told(each))
    for each in books[:99]:
        put(shop, each)
    with ThreadPoolExecutor(3) as pool:
        bodies = [{"book_id": str(each), "quantity": 1} for each in books[99:]]
        codes = pool.map(lambda body: shop.post("/cart/items", body).status_code, bodies)
        assert sorted(codes) == [201, 409, 409]
    absent = next(each for each in books if str(each) not in titles(shop))
    answer = shop.post("/cart/items", {"book_id": str(absent), "quantity": 1})
    assert (answer.status_code, answer.json["code"]) == (409, "cart_full")
    assert put(shop, books[0])["quantity"] == 2, "the same title needs no room"
    ordered = shop.place(absent).json["id"]
    again = shop.post(f"/orders/{ordered}/reorder").json
    assert [each["book_id"] for each in again["left_out"]] == [str(absent)]


def test_a_cart_gets_back_no_more_than_it_can_hold(shop: Shop, database: Database, book: UUID) -> None:
    others = [new_id() for _ in range(100)]
    for each in others:
        deliver(database, HANDLERS, told(each))
    put(shop, book, 2)
    put(shop, others[0])
    put(shop, others[1])
    order_id = shop.post("/orders").json["id"]
    for each in others[1:]:
        put(shop, each)
    shop.rejected(order_id, book)
    cart = {each["book_id"]: each["quantity"] for each in shop.get("/cart").json["items"]}
    assert (len(cart), cart[str(book)], cart[str(others[1])]) == (100, 2, 2)
    assert str(others[0]) not in cart
    assert len(shop.get(f"/orders/{order_id}").json["items"]) == 3, "from where it can be put in again"


def test_an_unknown_item_is_absent(shop: Shop) -> None:
    assert shop.send("PUT", f"/cart/items/{new_id()}", {"quantity": 1}).status_code == 404
