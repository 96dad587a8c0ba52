"""The rules that need no HTTP."""

from __future__ import annotations

from decimal import Decimal
from uuid import uuid4

import pytest

from catalog_service.domain.imports import goodbooks
from catalog_service.domain.isbn import find_isbn13, from_stem, to_isbn13
from catalog_service.domain.languages import to_iso639
from catalog_service.domain.text import comparison_key, slug
from catalog_service.events import HANDLERS
from catalog_service.models import Book
from catalog_service.seed import seed
from common.events.reviews import BookRatingChanged
from tests.catalog.conftest import replicated
from tests.support.database import deliver, emitted


def rating(book_id, version, count, average):
    return BookRatingChanged(book_id=book_id, version=version, count=count, average=average)


@pytest.mark.parametrize("text", ["0-14-143958-0", "0141439580", "978-0-14-143958-7", " 9780141439587 "])
def test_an_isbn_in_any_spelling_is_thirteen_digits(text):
    assert to_isbn13(text) == "9780141439587"


@pytest.mark.parametrize("text", ["", "0141439581", "9780141439580", "9790141439587x", "4006381333931", "x" * 300])
def test_what_is_no_isbn_is_refused(text):
    assert find_isbn13(text) is None
    with pytest.raises(ValueError, match="not an ISBN"):
        to_isbn13(text)


def test_the_check_digit_follows_from_the_stem():
    assert from_stem("014143958") == "9780141439587"


@pytest.mark.parametrize(
    ("text", "code"), [("eng", "en"), ("en-US", "en"), ("ger", "de"), ("DEU", "de"), ("fil", "fil"), ("pt_BR", "pt")]
)
def test_languages(text, code):
    assert to_iso639(text) == code


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Science Fiction", "science-fiction"), ("O'Brien, Tim", "obrien-tim"), ("J.R.R. Tolkien", "jrr-tolkien")],
)
def test_slugs(name, expected):
    assert slug(name) == expected
    assert slug("村上春樹") == slug("村上春樹") != slug("村上")


def test_names_are_compared_without_case_and_spacing():
    assert comparison_key(" STRASSE  Eins ") == comparison_key("Straße eins")


def test_a_made_up_price_is_always_the_same():
    prices = {goodbooks.plausible_price(f"GR-{number}") for number in range(200)}
    assert min(prices) >= Decimal("6.99")
    assert max(prices) <= Decimal("24.99")
    assert len(prices) > 10
    assert goodbooks.plausible_price("GR-1") == goodbooks.plausible_price("GR-1")


def test_a_rating_is_shown_and_an_older_one_is_not(client, add_book, database):
    book = add_book()
    path = f"/api/v1/books/{book['id']}"
    tag = client.get(path).headers["ETag"]
    deliver(database, HANDLERS, rating(book["id"], 2, 3, Decimal("4.33")))
    deliver(database, HANDLERS, rating(book["id"], 1, 1, Decimal("1.00")))
    deliver(database, HANDLERS, rating(uuid4(), 1, 1, Decimal("1.00")))
    shown = client.get(path)
    assert shown.json["rating"] == {"average": 4.33, "count": 3}
    assert shown.headers["ETag"] != tag
    assert [item["title"] for item in client.get("/api/v1/books?min_rating=4&sort=rating").json["items"]] == ["Emma"]
    deliver(database, HANDLERS, rating(book["id"], 3, 0, None))
    assert client.get(path).json["rating"] == {"average": None, "count": 0}
    assert len(replicated(database)) == 1  # no replica cares for ratings


def test_the_seed_makes_an_empty_store_look_alive_once(client, config, database):
    for _ in range(2):
        with database.transaction() as session:
            seed(session, config)
    assert len(emitted(database)) == client.get("/api/v1/books?total=true").json["total"] >= 55
    facets = client.get("/api/v1/books?facets=true").json["facets"]
    assert len(facets["genre"]) >= 5
    assert all(book["authors"] for book in client.get("/api/v1/books?limit=100").json["items"])


def test_the_seed_leaves_alone_what_the_shop_has_changed(client, admin, config, database):
    with database.transaction() as session:
        seed(session, config)
    book = client.get("/api/v1/books").json["items"][0]
    client.patch(f"/api/v1/books/{book['id']}", json={"price": "1.00"}, headers=admin)
    with database.transaction() as session:
        seed(session, config)
        assert session.get(Book, book["id"]).price == Decimal("1.00")
