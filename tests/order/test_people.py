"""What is held about a person: told on request, forgotten on request, while the orders stay."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import func, select, text

from common import mail
from common.db import Database
from common.events.auth import UserErased, UserRegistered, UserUpdated
from common.ids import new_id
from order_service.config import OrderConfig
from order_service.events import HANDLERS
from order_service.models import DocumentFile
from order_service.timers import write_letters
from tests.order.conftest import told
from tests.order.shop import Shop
from tests.support.database import deliver
from tests.support.tokens import bearer

SERVICE = bearer(subject="auth-service", role=None, scopes=["replicas:read"])


def test_all_that_is_held_about_a_person(shop: Shop, book: UUID) -> None:
    order_id = shop.paid(book)
    shop.post("/cart/items", {"book_id": str(book), "quantity": 2})
    path = f"/internal/users/{shop.user_id}/data"
    assert shop.client.get(path, headers=shop.staff).status_code == 403
    held = shop.client.get(path, headers=SERVICE).json
    assert [each["id"] for each in held["orders"]] == [order_id]
    assert [each["quantity"] for each in held["cart"]] == [2]


def test_an_erased_persons_orders_stay_without_a_name(
    shop: Shop, book: UUID, database: Database, config: OrderConfig
) -> None:
    address = {"name": "Ada", "line1": "1 Elm St", "city": "Town", "postal_code": "1", "country": "US"}
    lines = [{"book_id": str(book), "quantity": 1}]
    order_id = shop.post("/orders", {"items": lines, "shipping_address": address}).json["id"]
    shop.post("/cart/items", {"book_id": str(book), "quantity": 2})
    assert shop.post("/addresses", address).status_code == 201
    gone = told(new_id(), available=0)
    deliver(database, HANDLERS, gone)
    deliver(database, HANDLERS, UserRegistered(user_id=shop.user_id, username="Ada", email="a@b.c", role="customer"))
    assert shop.post("/wishlist", {"book_id": str(book)}).status_code == 201
    assert shop.post("/prebooks", {"book_id": str(gone.book_id), "quantity": 1}).status_code == 201
    shop.reserved(order_id)
    write_letters(database, config)
    before = shop.client.get(f"/internal/users/{shop.user_id}/data", headers=SERVICE).json
    assert all(before.values())
    assert [(each["recipient"], "1 Elm St" in each["text"]) for each in before["mails"]] == [("a@b.c", True)]
    assert shop.pay(order_id).status_code == 200
    assert shop.get(f"/orders/{order_id}/invoice").status_code == 200
    for _ in range(2):
        deliver(database, HANDLERS, UserErased(user_id=shop.user_id))
    held = shop.client.get(f"/internal/users/{shop.user_id}/data", headers=SERVICE).json
    assert not any(held.values())
    assert shop.get(f"/orders/{order_id}").status_code == 404
    (kept,) = shop.get("/admin/orders", staff=True).json["items"]
    assert (kept["id"], kept["shipping_address"]) == (order_id, None)
    assert str(shop.user_id) not in str(kept)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(DocumentFile)) == 0


def test_what_a_person_wrote_goes_with_them(shop: Shop, book: UUID, database: Database) -> None:
    reason = "I am Ada Lovelace of 1 Elm St and have moved."
    unpaid, paid = shop.confirmed(book), shop.paid(book)
    for order_id in (unpaid, paid):
        assert shop.post(f"/orders/{order_id}/cancel", {"reason": reason}).status_code == 200
    moved = shop.paid(book)
    shop.send("POST", f"/admin/orders/{moved}/refund", {"reason": "A flood."}, staff=True)
    deliver(database, HANDLERS, UserErased(user_id=shop.user_id))
    kept = {each["id"]: str(each) for each in shop.get("/admin/orders", staff=True).json["items"]}
    assert not any("Lovelace" in each for each in kept.values())
    assert "A flood." in kept[moved]
    with database.read() as session:
        assert session.scalars(text("SELECT reason FROM refunds ORDER BY id")).all() == [None, "A flood."]


def test_mails_to_a_former_address_go_with_the_person(
    shop: Shop, book: UUID, database: Database, config: OrderConfig
) -> None:
    known = {"user_id": shop.user_id, "username": "ada", "role": "customer"}
    deliver(database, HANDLERS, UserRegistered(email="former@example.com", **known))
    shop.confirmed(book)
    write_letters(database, config)
    deliver(database, HANDLERS, UserUpdated(email="present@example.com", **known))
    shop.confirmed(book)
    write_letters(database, config)
    somebody = Shop(shop.client, database)
    known = {"user_id": somebody.user_id, "username": "bob", "role": "customer"}
    deliver(database, HANDLERS, UserRegistered(email="bob@example.com", **known))
    somebody.confirmed(book)
    write_letters(database, config)
    deliver(database, HANDLERS, UserErased(user_id=shop.user_id))
    with database.read() as session:
        assert session.scalars(select(mail.table.c.recipient)).all() == ["bob@example.com"]


def test_an_erased_person_bought_nothing(shop: Shop, book: UUID, database: Database) -> None:
    shop.paid(book)
    assert len(shop.client.get("/internal/purchases", headers=SERVICE).json["items"]) == 1
    deliver(database, HANDLERS, UserErased(user_id=shop.user_id))
    assert shop.client.get("/internal/purchases", headers=SERVICE).json["items"] == []
