"""Addresses, shipping, tax and promotions, and totals to the cent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from common.db import Database
from common.events.administration import OrdersAdminActed
from order_service.domain import addresses
from order_service.domain.totals import CENT, Discount, Shipping, Tax, totals
from tests.order.shop import Shop
from tests.support.database import emitted
from tests.support.tokens import bearer

HOME = {"name": "Zoë", "line1": "1 Road", "city": "Berlin", "postal_code": "10115", "country": "DE"}
CENTS = st.decimals(0, 9999, places=2)
LINES = st.lists(st.tuples(st.integers(1, 99), CENTS), max_size=6)
DISCOUNTS = st.none() | st.builds(
    Discount, st.sampled_from(["percent", "amount", "free_shipping"]), st.decimals(0, 100, places=2)
)
SHIPPINGS = st.none() | st.builds(Shipping, CENTS, st.none() | CENTS)
TAXES = st.none() | st.builds(Tax, st.decimals(0, 100, places=4), st.booleans())


@given(lines=LINES, discount=DISCOUNTS, shipping=SHIPPINGS, tax=TAXES)
def test_totals_add_up_to_the_cent(
    lines: list[tuple[int, Decimal]], discount: Discount | None, shipping: Shipping | None, tax: Tax | None
) -> None:
    sums = totals(lines, discount=discount, shipping=shipping, tax=tax)
    parts = (sums.subtotal, sums.discount, sums.shipping, sums.tax, sums.total)
    assert all(part >= 0 and part == part.quantize(CENT) for part in parts)
    assert sums.discount <= sums.subtotal == sum((quantity * price for quantity, price in lines), Decimal(0))
    base = sums.subtotal - sums.discount + sums.shipping
    assert sums.total == base + (0 if sums.tax_included else sums.tax)
    if tax:
        taxed = base - sums.tax if tax.included else base
        assert abs(taxed * tax.rate / 100 - sums.tax) <= CENT


@given(lines=LINES, discount=DISCOUNTS, shipping=SHIPPINGS, rate=st.decimals(0, 100, places=4))
def test_an_included_tax_changes_no_total(
    lines: list[tuple[int, Decimal]], discount: Discount | None, shipping: Shipping | None, rate: Decimal
) -> None:
    without = totals(lines, discount=discount, shipping=shipping)
    assert totals(lines, discount=discount, shipping=shipping, tax=Tax(rate, included=True)).total == without.total


def promote(shop: Shop, **fields: Any) -> dict[str, Any]:
    answer = shop.post("/admin/promotions", {"code": "spring", "kind": "percent", "value": "10", **fields}, staff=True)
    assert answer.status_code == 201, answer.json
    made: dict[str, Any] = answer.json
    return made


def order(shop: Shop, book: UUID, quantity: int = 1, **fields: Any) -> Any:
    return shop.post("/orders", {"items": [{"book_id": str(book), "quantity": quantity}], **fields})


def test_without_any_terms_nothing_is_added(shop: Shop, book: UUID) -> None:
    placed = order(shop, book, shipping_address=HOME).json
    assert (placed["shipping"], placed["tax"], placed["total"]) == ("0.00", "0.00", "12.99")


def test_shipping_tax_and_promotion_of_an_order(shop: Shop, book: UUID) -> None:
    for code, terms in {
        "dhl": {"name": "DHL", "price": "4.90", "free_over": "50.00", "countries": ["DE"]},
        "world": {"name": "World", "price": "19.00"},
    }.items():
        assert shop.send("PUT", f"/admin/shipping-methods/{code}", terms, staff=True).status_code == 200
    rate = {"rate": "7", "included": False}
    assert shop.send("PUT", "/admin/tax-rates/DE", rate, staff=True).status_code == 200
    promote(shop)
    placed = order(shop, book, 2, shipping_address=HOME, promotion_code="Spring").json
    sums = [placed[name] for name in ("subtotal", "discount", "shipping", "tax", "total")]
    assert sums == ["25.98", "2.60", "4.90", "1.98", "30.26"]
    assert (placed["promotion_code"], placed["shipping_method"]) == ("SPRING", "dhl")
    assert order(shop, book, 5, shipping_address=HOME).json["shipping"] == "0.00"
    abroad = {"shipping_address": HOME | {"country": "FR"}}
    assert order(shop, book, **abroad).json["shipping_method"] == "world"
    assert order(shop, book, **abroad, shipping_method="dhl").status_code == 422
    items = [{"book_id": str(book), "quantity": 2}]
    quote = shop.post("/orders/quote", {"items": items, "shipping_address": HOME, "promotion_code": "SPRING"}).json
    assert (quote["total"], [each["code"] for each in quote["shipping_methods"]]) == ("30.26", ["dhl", "world"])


def test_a_rate_is_written_in_digits(shop: Shop) -> None:
    for rate in ("1e1", "1_0", "NaN"):
        answer = shop.send("PUT", "/admin/tax-rates/DE", {"rate": rate, "included": True}, staff=True)
        assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "rate")
    for rate in ("19", 19, 19.0, "7.1234"):
        answer = shop.send("PUT", "/admin/tax-rates/DE", {"rate": rate, "included": True}, staff=True)
        assert (answer.status_code, float(answer.json["rate"])) == (200, float(rate))


def test_prices_with_their_tax_in_them(shop: Shop, book: UUID) -> None:
    shop.send("PUT", "/admin/tax-rates/DE", {"rate": "7", "included": True}, staff=True)
    placed = order(shop, book, shipping_address=HOME).json
    assert (placed["tax"], placed["tax_included"], placed["total"]) == ("0.85", True, "12.99")


def test_a_code_is_refused_with_its_reason(shop: Shop, book: UUID) -> None:
    promote(shop, code="LATER", starts_at="2999-01-01T00:00:00Z")
    promote(shop, code="MUCH", minimum="50.00")
    for code, reason in {"NONE": "unknown", "LATER": "not_now", "MUCH": "minimum"}.items():
        answer = order(shop, book, promotion_code=code)
        assert (answer.status_code, answer.json["code"]) == (409, "promotion_refused")
        assert answer.json["reason"] == reason


def test_a_number_is_no_time(shop: Shop) -> None:
    promotion = {"code": "SPRING", "kind": "percent", "value": "10", "ends_at": "1700000000"}
    assert shop.send("POST", "/admin/promotions", promotion, staff=True).status_code == 422


@pytest.mark.parametrize("ends_at", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
def test_a_time_that_cannot_be_read_again_is_not_kept(shop: Shop, ends_at: str) -> None:
    promotion = {"code": "SPRING", "kind": "percent", "value": "10", "ends_at": ends_at}
    answer = shop.send("POST", "/admin/promotions", promotion, staff=True)
    assert (answer.status_code, answer.json.get("errors", [{}])[0].get("field")) == (422, "ends_at")
    assert shop.get("/admin/promotions", staff=True).status_code == 200


def test_times_are_told_in_utc_from_the_first_answer_on(shop: Shop) -> None:
    promotion = promote(shop, starts_at="2026-01-01T01:00:00+02:00")
    assert promotion["starts_at"] == "2025-12-31T23:00:00Z"
    assert shop.get("/admin/promotions", staff=True).json["items"] == [promotion]


def test_limits_hold_under_parallel_orders(shop: Shop, book: UUID) -> None:
    promotion = promote(shop, limit_total=3)
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _: order(shop, book, promotion_code="SPRING").status_code, range(8)))
    assert (codes.count(201), codes.count(409)) == (3, 5)
    assert shop.get(f"/admin/promotions/{promotion['id']}", staff=True).json["used"] == 3


def test_a_limit_per_user_is_free_again_after_an_unpaid_order_ends(shop: Shop, book: UUID) -> None:
    promote(shop, limit_per_user=1)
    first = order(shop, book, promotion_code="SPRING").json["id"]
    assert order(shop, book, promotion_code="SPRING").json["reason"] == "used_by_you"
    assert shop.post(f"/orders/{first}/cancel").status_code == 200
    assert order(shop, book, promotion_code="SPRING").status_code == 201


def test_an_address_book_is_ones_own(shop: Shop, book: UUID) -> None:
    entry = shop.post("/addresses", HOME).json
    stranger = bearer()
    path = f"/api/v1/addresses/{entry['id']}"
    assert shop.client.put(path, json=HOME, headers=stranger).status_code == 404
    assert shop.client.delete(path, headers=stranger).status_code == 404
    body = {"items": [{"book_id": str(book), "quantity": 1}], "address_id": entry["id"]}
    assert shop.client.post("/api/v1/orders", json=body, headers=stranger).status_code == 404
    placed = shop.post("/orders", body).json
    assert placed["shipping_address"]["city"] == "Berlin"
    moved = shop.send("PUT", f"/addresses/{entry['id']}", HOME | {"city": "Köln"})
    assert moved.json["city"] == shop.get("/addresses").json["items"][0]["city"] == "Köln"
    assert shop.get(f"/orders/{placed['id']}").json["shipping_address"]["city"] == "Berlin"
    assert shop.send("DELETE", f"/addresses/{entry['id']}").status_code == 204


def test_an_address_that_is_removed_while_it_is_changed_is_a_conflict(
    shop: Shop, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = shop.post("/addresses", HOME).json
    good = addresses.get

    def lose(*asked: Any) -> Any:
        found = good(*asked)
        with database.transaction() as another:
            another.execute(text("DELETE FROM addresses"))
        return found

    monkeypatch.setattr(addresses, "get", lose)
    assert shop.send("PUT", f"/addresses/{entry['id']}", HOME | {"city": "Köln"}).status_code == 409


def test_an_order_placed_again_does_not_need_what_it_was_made_of(shop: Shop, database: Database, book: UUID) -> None:
    entry = shop.post("/addresses", HOME).json
    body = {"items": [{"book_id": str(book), "quantity": 1}], "address_id": entry["id"]}
    first = shop.post("/orders", body, Idempotency_Key="k")
    assert shop.send("DELETE", f"/addresses/{entry['id']}").status_code == 204
    with database.transaction() as session:
        session.execute(text("DELETE FROM books"))
    again = shop.post("/orders", body, Idempotency_Key="k")
    assert (again.status_code, again.json) == (201, first.json)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert shop.post("/orders", body | {"address_id": str(book)}, Idempotency_Key="k").status_code == 422


def test_terms_are_for_staff_and_audited(shop: Shop, database: Database) -> None:
    promotion = promote(shop)
    path = f"/admin/promotions/{promotion['id']}"
    changed = {"code": "SPRING", "kind": "amount", "value": "5.00"}
    assert shop.send("PUT", path, changed, staff=True).json["kind"] == "amount"
    assert shop.send("DELETE", path, staff=True).status_code == 204
    assert shop.post("/admin/promotions", changed, staff=True).status_code == 409
    for refused in ("/admin/promotions", "/admin/shipping-methods", "/admin/tax-rates"):
        assert shop.get(refused).status_code == 403
    told = [event.action for event in emitted(database) if isinstance(event, OrdersAdminActed)]
    assert told == ["promotion.added", "promotion.changed", "promotion.ended"]
