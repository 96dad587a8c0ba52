"""Nobody sees or touches what is somebody else's: every operation on one thing, tried by another customer."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from common.db import Database
from common.ids import new_id
from order_service.events import HANDLERS
from tests.order.conftest import told
from tests.order.shop import Shop
from tests.support.database import deliver

ADDRESS = {
    "name": "A. Reader",
    "line1": "1 Main Street",
    "city": "Springfield",
    "postal_code": "12345",
    "country": "US",
}
BODIES = {
    "/orders/<uuid:order_id>/pay": {"payment_method": "tok_visa"},
    "/addresses/<uuid:address_id>": ADDRESS,
    "/cart/items/<uuid:item_id>": {"quantity": 3},
}
NOT_BY_OWNERS = ("/admin/", "/refund", "/status", "/webhook/")


@pytest.fixture
def things(shop: Shop, book: UUID, database: Database) -> dict[str, str]:
    """What a customer has, by the names that routes give it."""
    order = shop.paid(book)
    unpaid = shop.confirmed(book)
    address = shop.post("/addresses", ADDRESS)
    assert address.status_code == 201, address.json
    cart = shop.post("/cart/items", {"book_id": str(book), "quantity": 1}).json
    gone = told(new_id(), available=0)
    deliver(database, HANDLERS, gone)
    prebooking = shop.post("/prebooks", {"book_id": str(gone.book_id), "quantity": 1}).json
    assert shop.post("/wishlist", {"book_id": str(book)}).status_code == 201
    number = shop.get(f"/orders/{order}/documents").json["items"][0]["number"]
    return {
        "order_id": unpaid,
        "paid": order,
        "address_id": address.json["id"],
        "item_id": cart["items"][0]["id"],
        "number": number,
        "book_id": str(book),
        "prebooking_id": prebooking["id"],
    }


def snapshot(database: Database) -> dict[str, str | None]:
    """Every table's content, but for keys of requests, which belong to whoever sent them."""
    with database.read() as session:
        tables = session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")).all()
        return {
            table: session.scalar(
                text(f"SELECT md5(string_agg(each::text, '|' ORDER BY each::text)) FROM {table} each")
            )
            for table in tables
            if table != "idempotency_keys"
        }


def own_operations(shop: Shop) -> list[tuple[str, str]]:
    """Methods and paths that name one thing of a customer's, without /api/v1."""
    found = []
    for rule in shop.client.application.url_map.iter_rules():
        path = rule.rule.removeprefix("/api/v1")
        is_own = rule.rule.startswith("/api/v1") and rule.arguments and not any(each in path for each in NOT_BY_OWNERS)
        found += [(method, path) for method in (rule.methods or set()) - {"HEAD", "OPTIONS"} if is_own]
    return found


def test_what_is_somebody_elses_is_absent(shop: Shop, database: Database, things: dict[str, str]) -> None:
    stranger = Shop(shop.client, database)
    before = snapshot(database)
    tried = 0
    for method, path in own_operations(shop):
        for order in (things["order_id"], things["paid"]):
            named = path.replace("<uuid:order_id>", order)
            for name, value in things.items():
                named = named.replace(f"<uuid:{name}>", value).replace(f"<{name}>", value)
            assert "<" not in named, f"{path}: make what it names, and name it in `things`"
            body = BODIES.get(path) if method in ("POST", "PUT", "PATCH") else None
            answer = stranger.send(method, named, body, Idempotency_Key=str(uuid4()))
            is_nothing_to_remove = method == "DELETE" and answer.status_code == 204
            assert answer.status_code == 404 or is_nothing_to_remove, f"{method} {named}: {answer.status_code}"
            tried += 1
    assert tried >= 20
    assert snapshot(database) == before


def test_lists_show_only_ones_own(shop: Shop, database: Database, things: dict[str, str]) -> None:
    stranger = Shop(shop.client, database)
    for path in ("/orders", "/addresses", "/cart", "/wishlist", "/prebooks"):
        assert stranger.get(path).json["items"] == []
        assert shop.get(path).json["items"]


def test_an_order_does_not_go_to_somebody_elses_address(
    shop: Shop, database: Database, things: dict[str, str], book: UUID
) -> None:
    stranger = Shop(shop.client, database)
    body = {"items": [{"book_id": str(book), "quantity": 1}], "address_id": things["address_id"]}
    for path in ("/orders", "/orders/quote", "/orders/checkout"):
        assert stranger.post(path, body).status_code == 404
    assert stranger.get("/orders").json["items"] == []


def test_a_key_of_somebody_elses_request_does_not_show_its_answer(shop: Shop, database: Database, book: UUID) -> None:
    mine = shop.place(book, Idempotency_Key="the same").json["id"]
    theirs = Shop(shop.client, database).place(book, Idempotency_Key="the same")
    assert theirs.status_code == 201
    assert theirs.json["id"] != mine
    assert "Idempotency-Replayed" not in theirs.headers


def test_staff_see_all_orders_but_do_not_pay_or_cancel_as_customers(shop: Shop, things: dict[str, str]) -> None:
    order = things["order_id"]
    assert shop.get(f"/admin/orders/{order}", staff=True).status_code == 200
    assert shop.get(f"/orders/{order}", staff=True).status_code == 404
    assert shop.post(f"/orders/{order}/pay", {"payment_method": "tok_visa"}, staff=True).status_code == 404
    assert shop.post(f"/orders/{order}/cancel", staff=True).status_code == 404
