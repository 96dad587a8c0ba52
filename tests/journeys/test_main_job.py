"""A visitor becomes a customer, buys, pays, gets the book and reviews it: through the gateway, on each bus."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from devstack import demo
from tests.journeys.ledger import is_quiet, outcomes, require_balance, stock
from tests.support import tokens
from tests.support.shopper import Person, Staff
from tests.support.stack import Stack
from tests.support.waiting import eventually

Query = Any


def test_the_demo_ends_well(store: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.walk(store.settings) == 0, capsys.readouterr().out


def test_sixty_buyers_at_once_for_twenty_copies(store: Stack, admin: Staff, query: Query) -> None:
    book = admin.add_book("Sought after", on_hand=20)
    with ThreadPoolExecutor(12) as pool:
        buyers = list(pool.map(lambda _: Person.register(store.gateway), range(60)))
    with ThreadPoolExecutor(60) as pool:
        answers = list(pool.map(lambda buyer: buyer.order(book), buyers))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert all(answer.json()["code"] == "out_of_stock" for answer in answers if answer.status_code == 409)
    eventually(lambda: outcomes(query, book) == {"CONFIRMED": 20, "CANCELLED": 40}, within=20)
    assert stock(query, book) == (20, 20)
    require_balance(query)


def test_paid_books_leave_the_shelf_and_returned_ones_come_back(admin: Staff, buyer: Person, query: Query) -> None:
    book = admin.add_book("There and back", on_hand=3)
    order = buyer.order(book, 2).json()
    assert buyer.send("POST", f"/orders/{order['id']}/pay", {"payment_method": "tok_visa"}).status_code == 200
    eventually(lambda: stock(query, book) == (1, 0))
    assert buyer.send("POST", f"/orders/{order['id']}/cancel").json()["status"] == "REFUNDED"
    eventually(lambda: stock(query, book) == (3, 0))
    require_balance(query)


def test_only_buyers_review_and_the_rating_follows(store: Stack, admin: Staff, buyer: Person) -> None:
    book = admin.add_book("Much discussed", on_hand=2)
    review = {"book_id": book, "rating": 4, "title": "Good"}
    refused = buyer.send("POST", "/reviews", review)
    assert (refused.status_code, refused.json()["code"]) == (403, "purchase_required")
    order = buyer.order(book).json()
    buyer.send("POST", f"/orders/{order['id']}/pay", {"payment_method": "tok_visa"}).raise_for_status()
    assert buyer.send("POST", "/reviews", review).status_code == 201
    rating = eventually(lambda: (found := buyer.get(f"/books/{book}")["rating"])["count"] and found)
    assert float(rating["average"]) == 4


def test_what_a_client_says_it_is_changes_nothing(store: Stack, buyer: Person) -> None:
    claims = {"X-User-Id": "1", "X-User-Role": "admin", "X_User_Role": "admin", "X-Forwarded-User": "admin"}
    plain = requests.get(f"{store.gateway}/api/v1/admin/orders", headers=claims, timeout=10)
    assert plain.status_code == 401
    assert buyer.http.get(f"{store.gateway}/api/v1/admin/orders", headers=claims, timeout=10).status_code == 403
    me = buyer.http.get(f"{store.gateway}/api/v1/auth/me", headers=claims, timeout=10).json()
    assert me["role"] == "customer"


ASKED = {"gateway": "/api/v1/orders", "auth-web": "/api/v1/auth/me", "catalog-web": "/api/v1/books/inactive"}
ASKED |= {"order-web": "/api/v1/orders", "review-web": "/api/v1/admin/reviews"}


@pytest.mark.parametrize("process", ["gateway", "auth-web", "catalog-web", "order-web", "review-web"])
def test_a_token_that_we_did_not_sign_is_refused_everywhere(store: Stack, process: str) -> None:
    address = store.address(process)
    path = "/api/v1/reviews" if process == "review-web" else ASKED[process]
    for token in (tokens.sign(tokens.claims(role="admin", iss=store.gateway)), "eyJhbGciOiJub25lIn0.e30."):
        answer = requests.get(address + path, headers={"Authorization": f"Bearer {token}"}, timeout=10)
        assert answer.status_code == 401, f"{process} answered {answer.status_code}"
        assert "WWW-Authenticate" in answer.headers


def test_the_order_and_the_review_replicas_can_be_rebuilt_in_use(store: Stack, query: Query) -> None:
    eventually(lambda: is_quiet(query))
    books = "SELECT book_id, title, price, available, is_active FROM orders.books ORDER BY 1"
    before = query(books)
    purchases = query("SELECT user_id, book_id FROM reviews.purchases ORDER BY 1, 2")
    assert store.command("order", "rebuild", "books").returncode == 0
    assert store.command("review", "rebuild", "purchases").returncode == 0
    assert query(books) == before
    assert query("SELECT user_id, book_id FROM reviews.purchases ORDER BY 1, 2") == purchases


def test_health_tells_of_every_service(store: Stack) -> None:
    health = eventually(lambda: (a := requests.get(f"{store.gateway}/health", timeout=10)).ok and a.json(), within=20)
    assert {name: found["status"] for name, found in health["services"].items()} == dict.fromkeys(
        ("auth", "catalog", "order", "order-stream", "review"), "ok"
    )
