"""Carts before signing in, and what becomes of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from flask.testing import FlaskClient
from sqlalchemy import text

from common.db import Database
from order_service.domain import guests
from tests.order.shop import Shop

CART = "/api/v1/cart"


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


def test_a_bad_token_or_an_invented_cookie_gets_nothing(client: FlaskClient) -> None:
    assert client.get(CART, headers={"Authorization": "Bearer x"}).status_code == 401
    client.set_cookie("guest_cart", "../x", path="/api/v1")
    assert client.get(CART).json["items"] == []


def test_old_ones_are_forgotten(client: FlaskClient, shop: Shop, database: Database, book: UUID) -> None:
    put(client, book)
    other = client.application.test_client()
    other.post(f"{CART}/items", json={"book_id": str(book), "quantity": 1}, headers=shop.customer)
    with database.transaction() as session:
        session.execute(text("UPDATE carts SET updated_at = now() - interval '31 days'"))
        guests.prune(session)
        assert session.scalars(text("SELECT is_guest FROM carts")).all() == [False]
