"""The wish list, and ordering the same again."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from common.db import Database
from common.events.catalog import BookChanged
from common.ids import new_id
from order_service.events import HANDLERS
from tests.order.conftest import told
from tests.order.shop import Shop
from tests.support.database import deliver
from tests.support.tokens import bearer


def test_twice_is_once_and_the_price_is_todays(shop: Shop, book: UUID, database: Database) -> None:
    first = shop.post("/wishlist", {"book_id": str(book)})
    again = shop.post("/wishlist", {"book_id": str(book)})
    assert (first.status_code, again.status_code) == (201, 200)
    state = told(book, version=2, price=Decimal("9.99"), available=0).model_dump()
    deliver(database, HANDLERS, BookChanged(**state))
    (entry,) = shop.get("/wishlist").json["items"]
    assert (entry["title"], entry["price"], entry["on_sale"], entry["in_stock"]) == ("Middlemarch", "9.99", True, False)
    deliver(database, HANDLERS, BookChanged(**state | {"version": 3, "is_active": False}))
    (entry,) = shop.get("/wishlist").json["items"]
    assert (entry["title"], entry["price"], entry["on_sale"]) == ("Middlemarch", None, False)


def test_a_list_is_its_owners(shop: Shop, book: UUID) -> None:
    shop.post("/wishlist", {"book_id": str(book)})
    stranger = bearer(subject=new_id())
    assert shop.client.get("/api/v1/wishlist", headers=stranger).json["items"] == []
    assert shop.client.delete(f"/api/v1/wishlist/{book}", headers=stranger).status_code == 404
    assert shop.client.get(f"/api/v1/wishlist/{book}", headers=stranger).status_code == 404
    assert shop.get(f"/wishlist/{book}").status_code == 204
    assert shop.client.get("/api/v1/wishlist").status_code == 401
    assert shop.send("DELETE", f"/wishlist/{book}").status_code == 204
    assert shop.send("DELETE", f"/wishlist/{book}").status_code == 404
    assert shop.get(f"/wishlist/{book}").status_code == 404
    assert shop.get("/wishlist").json["items"] == []


def test_what_is_not_on_sale_cannot_be_wished_for(shop: Shop, database: Database) -> None:
    gone = told(new_id(), is_active=False)
    deliver(database, HANDLERS, gone)
    assert shop.post("/wishlist", {"book_id": str(gone.book_id)}).status_code == 404


def test_pages(shop: Shop, database: Database) -> None:
    books = [new_id() for _ in range(5)]
    for each in books:
        deliver(database, HANDLERS, told(each))
        shop.post("/wishlist", {"book_id": str(each)})
    first = shop.get("/wishlist?limit=3&total=true").json
    rest = shop.get(f"/wishlist?limit=3&cursor={first['next_cursor']}").json
    listed = [each["book_id"] for each in first["items"] + rest["items"]]
    assert (listed, first["total"], rest["next_cursor"]) == ([str(each) for each in reversed(books)], 5, None)


def test_an_order_is_put_into_the_cart_again_as_far_as_it_can_be(shop: Shop, book: UUID, database: Database) -> None:
    gone = told(new_id(), title="Felix Holt")
    deliver(database, HANDLERS, gone)
    lines = [{"book_id": str(book), "quantity": 2}, {"book_id": str(gone.book_id), "quantity": 1}]
    order_id = shop.post("/orders", {"items": lines}).json["id"]
    deliver(database, HANDLERS, BookChanged(**gone.model_dump() | {"version": 2, "is_active": False}))
    answer = shop.post(f"/orders/{order_id}/reorder").json
    assert [(each["book_id"], each["quantity"]) for each in answer["cart"]["items"]] == [(str(book), 2)]
    assert answer["left_out"] == [{"book_id": str(gone.book_id), "title": "Felix Holt"}]
    stranger = bearer(subject=new_id())
    assert shop.client.post(f"/api/v1/orders/{order_id}/reorder", headers=stranger).status_code == 404
