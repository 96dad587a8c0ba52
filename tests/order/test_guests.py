"""Carts before signing in, and what becomes of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from common.db import Database
from common.ids import new_id
from order_service.domain import books, carts, guests
from tests.order.conftest import told
from tests.order.shop import Shop

CART = "/api/v1/cart"


def make_books(database: Database, count: int) -> list[UUID]:
    made = [told(new_id()) for _ in range(count)]
    with database.transaction() as session:
        books.take_over(session, made)
    return [each.book_id for each in made]


def fill(shop: Shop, database: Database, titles: int) -> None:
    """Put so many books into the customer's cart."""
    made = make_books(database, titles)
    with database.transaction() as session:
        for each in made:
            carts.add(session, shop.user_id, each, 1)


def age(database: Database) -> None:
    with database.transaction() as session:
        session.execute(text("UPDATE carts SET updated_at = now() - interval '31 days'"))


def prune(database: Database) -> None:
    with database.transaction() as session:
        guests.prune(session)


def put(client: FlaskClient, book: UUID, quantity: int = 1) -> None:
    answer = client.post(f"{CART}/items", json={"book_id": str(book), "quantity": quantity})
    assert answer.status_code == 201


def test_a_guest_keeps_a_cart_by_a_cookie(client: FlaskClient, book: UUID) -> None:
    assert "Set-Cookie" not in client.get(CART).headers
    answer = client.post(f"{CART}/items", json={"book_id": str(book), "quantity": 2})
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    item = client.get(CART).json["items"][0]
    assert item["quantity"] == 2
    assert client.put(f"{CART}/items/{item['id']}", json={"quantity": 3}).json["subtotal"] == "38.97"
    other = client.application.test_client()
    assert other.get(CART).json["items"] == []
    assert other.delete(f"{CART}/items/{item['id']}").status_code == 404
    assert client.delete(f"{CART}/items/{item['id']}").status_code == 204


def test_it_is_merged_once_at_the_first_request_that_is_signed_in(shop: Shop, client: FlaskClient, book: UUID) -> None:
    put(client, book, 2)
    cookie = client.get_cookie("guest_cart", path="/api/v1")
    assert cookie
    browsers = [client.application.test_client() for _ in range(4)]
    for browser in browsers:
        browser.set_cookie("guest_cart", cookie.value, path="/api/v1")
    with ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(lambda browser: browser.get(CART, headers=shop.customer).status_code, browsers))
    assert codes == [200] * 4
    assert shop.get("/cart").json["items"][0]["quantity"] == 2
    assert client.get_cookie("guest_cart", path="/api/v1") is None
    assert client.get(CART).json["items"] == []


def test_merging_adds_up_to_99_and_is_seen_by_the_checkout(shop: Shop, client: FlaskClient, book: UUID) -> None:
    guest = client.application.test_client()
    put(guest, book, 60)
    assert shop.post("/cart/items", {"book_id": str(book), "quantity": 60}).status_code == 201
    placed = guest.post("/api/v1/orders", headers=shop.customer)
    assert placed.json["items"][0]["quantity"] == 99


def test_a_quote_is_of_what_the_order_will_take(shop: Shop, client: FlaskClient, book: UUID) -> None:
    browser = client.application.test_client()
    put(browser, book, 2)
    assert shop.post("/cart/items", {"book_id": str(book), "quantity": 1}).status_code == 201
    quoted = browser.post("/api/v1/orders/quote", headers=shop.customer)
    placed = browser.post("/api/v1/orders", headers=shop.customer)
    assert (quoted.status_code, placed.status_code) == (200, 201)
    assert (quoted.json["total"], placed.json["total"]) == ("38.97", "38.97")


def test_a_quote_of_items_leaves_the_guests_cart_alone(shop: Shop, client: FlaskClient, book: UUID) -> None:
    put(client, book, 2)
    assert shop.post("/orders/quote", {"items": [{"book_id": str(book), "quantity": 1}]}).json["total"] == "12.99"
    assert len(client.get(CART).json["items"]) == 1


def test_what_finds_no_room_waits_in_the_guests_cart(
    shop: Shop, client: FlaskClient, database: Database, book: UUID
) -> None:
    browser = client.application.test_client()
    put(browser, book, 2)
    for each in make_books(database, 3):
        put(browser, each)
    fill(shop, database, carts.MAX_TITLES - 2)
    answer = browser.get(CART, headers=shop.customer)
    assert "Max-Age" in answer.headers["Set-Cookie"], "it is in use still"
    cart = answer.json
    assert len(cart["items"]) == carts.MAX_TITLES
    assert {item["book_id"]: item["quantity"] for item in cart["items"]}[str(book)] == 2
    (warning,) = cart["warnings"]
    assert (warning["item_id"], warning["code"]) == (None, "cart_full")
    assert warning["detail"].endswith(": 2.")
    assert len(browser.get(CART).json["items"]) == 2
    assert browser.post("/api/v1/orders", headers=shop.customer).status_code == 201
    cart = browser.get(CART, headers=shop.customer).json
    assert (len(cart["items"]), cart["warnings"]) == (2, [])
    assert browser.get_cookie("guest_cart", path="/api/v1") is None


def test_emptying_takes_out_what_found_no_room_as_well(shop: Shop, client: FlaskClient, database: Database) -> None:
    for each in make_books(database, 2):
        put(client, each)
    fill(shop, database, carts.MAX_TITLES)
    assert shop.send("DELETE", "/cart").status_code == 204
    assert shop.get("/cart").json["items"] == []
    assert client.get(CART).json["items"] == []


def test_a_bad_token_or_an_invented_cookie_gets_nothing(client: FlaskClient) -> None:
    assert client.get(CART, headers={"Authorization": "Bearer x"}).status_code == 401
    client.set_cookie("guest_cart", "../x", path="/api/v1")
    assert client.get(CART).json["items"] == []


def test_old_ones_are_forgotten(client: FlaskClient, shop: Shop, database: Database, book: UUID) -> None:
    put(client, book)
    other = client.application.test_client()
    other.post(f"{CART}/items", json={"book_id": str(book), "quantity": 1}, headers=shop.customer)
    age(database)
    prune(database)
    with database.read() as session:
        assert session.scalars(text("SELECT is_guest FROM carts")).all() == [False]


@pytest.mark.parametrize("use", ["add", "set", "remove"])
def test_one_in_use_is_kept_and_so_is_its_cookie(client: FlaskClient, database: Database, book: UUID, use: str) -> None:
    other = make_books(database, 1)[0]
    put(client, book)
    put(client, other)
    first, second = client.get(CART).json["items"]
    age(database)
    uses = {
        "add": lambda: client.post(f"{CART}/items", json={"book_id": str(book), "quantity": 1}),
        "set": lambda: client.put(f"{CART}/items/{first['id']}", json={"quantity": 3}),
        "remove": lambda: client.delete(f"{CART}/items/{second['id']}"),
    }
    answer = uses[use]()
    assert answer.status_code < 300
    assert f"Max-Age={30 * 24 * 3600}" in answer.headers["Set-Cookie"]
    prune(database)
    assert client.get(CART).json["items"][0]["id"] == first["id"]


def test_a_refused_use_renews_nothing(client: FlaskClient, database: Database, book: UUID) -> None:
    put(client, book)
    age(database)
    refused = client.delete(f"{CART}/items/{new_id()}")
    assert (refused.status_code, "Set-Cookie" in refused.headers) == (404, False)
    prune(database)
    assert client.get(CART).json["items"] == []
