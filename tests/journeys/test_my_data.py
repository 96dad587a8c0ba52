"""All that is held about somebody, from every service, and its end everywhere."""

from __future__ import annotations

from tests.support.shopper import Person, Staff
from tests.support.waiting import eventually


def test_export_and_erasure(admin: Staff, buyer: Person, query: object) -> None:
    book = admin.add_book("A private matter", on_hand=3)
    order = buyer.order(book).json()
    buyer.send("POST", f"/orders/{order['id']}/pay", {"payment_method": "tok_visa"}).raise_for_status()
    buyer.send("POST", "/reviews", {"book_id": book, "rating": 5}).raise_for_status()
    held = buyer.get("/users/me/export")
    assert held["auth"]["account"]["id"] == buyer.get("/auth/me")["id"]
    assert [each["id"] for each in held["orders"]["orders"]] == [order["id"]]
    assert [each["book_id"] for each in held["reviews"]["reviews"]] == [book]
    assert [each["email"] for each in held["catalog"].pop("contact")] == [held["auth"]["account"]["email"]]
    assert held["catalog"] == {name: [] for name in ("stock_movements", "uploads", "imports", "suggestions")}
    buyer.send("DELETE", "/users/me").raise_for_status()
    user_id = held["auth"]["account"]["id"]

    def found() -> int:
        rows = query(  # type: ignore[operator]
            "SELECT (SELECT count(*) FROM auth.users WHERE id = %s) + (SELECT count(*) FROM orders.orders WHERE"
            " user_id = %s) + (SELECT count(*) FROM reviews.reviews WHERE user_id = %s)",
            *[user_id] * 3,
        )
        return int(rows[0][0])

    eventually(lambda: found() == 0)
    assert query("SELECT status FROM orders.orders WHERE id = %s", order["id"]) == [("PAID",)]  # type: ignore[operator]
