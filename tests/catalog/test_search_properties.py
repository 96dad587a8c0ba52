"""Whatever is typed into the search: an answer, only books that fit the filters, and pages without gaps or repeats."""

from __future__ import annotations

import os
from decimal import Decimal
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from catalog_service.domain import words

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "20"))
"""FUZZ_EXAMPLES=5000 looks further, each time elsewhere."""
thorough = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES <= 20,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
KNOWN = ["clock", "Clocks", "maker", "sea", "séa", "orchard", "brandt", "the", "of", "winter"]
SORTS = ["relevance", "newest", "title", "price", "-price", "rating", "bestselling"]
operators = st.sampled_from(
    [*"\"'-!&|()<>:*\\%_,.;$@#{}[]~^", " OR ", " and ", " <-> ", ":*", "''", "--", "/*", "\x00"]
)
texts = st.one_of(
    st.lists(st.sampled_from(KNOWN) | operators, max_size=12).map(" ".join),
    st.lists(st.sampled_from(KNOWN) | operators | st.text(max_size=3), max_size=12).map("".join),
    st.text(max_size=250),
    st.characters(exclude_categories=["Cs"]).map(lambda character: character * 200),
)
names = st.sampled_from(["Ilse Brandt", "brandt", "Söhne & Töchter", "sohne tochter", "%", "nobody"]) | st.text(
    max_size=30
)
prices = st.integers(0, 1500).map(lambda cents: f"{Decimal(cents) / 100:.2f}")
filters = st.fixed_dictionaries(
    {},
    optional={
        "author": names,
        "publisher": names,
        "series": names,
        "language": st.sampled_from(["en", "de", "eng", "en-GB"]),
        "format": st.sampled_from(["paperback", "ebook"]),
        "min_price": prices,
        "max_price": prices,
        "in_stock": st.booleans().map(lambda value: str(value).lower()),
        "min_rating": st.sampled_from(["0", "2.5", "5"]),
    },
)


@pytest.fixture
def shelf(add_book: Any, database: Any) -> None:
    """Books that differ in what is filtered, and are often alike in what is sorted by."""
    for number in range(20):
        add_book(
            f"{KNOWN[number % 6]} {KNOWN[number % 4]} {number // 3}",
            authors=["Ilse Brandt" if number % 3 else "Desmond Hale"],
            publisher="Söhne & Töchter" if number % 4 else None,
            series={"name": "Brandt", "position": 1 + number // 10} if number % 5 == 0 else None,
            language="en" if number % 2 else "de",
            format="paperback" if number % 3 else "ebook",
            price=f"{number // 2}.50",
            stock=number % 2,
        )
    words.learn_all(database)


def ask(client: FlaskClient, query: dict[str, Any]) -> dict[str, Any] | None:
    """The answer, or None for a query that is refused as it should be."""
    answer = client.get("/api/v1/books", query_string=query)
    assert answer.status_code in (200, 422), answer.text
    if answer.status_code == 200:
        return answer.json
    assert answer.json["errors"], answer.json
    return None


@thorough
@given(texts)
@example("\x00")
@example("a" * 200)
@example("a" * 5000)
@example("' & ! <-> :* \\")
@example("İıŉ\u0345ẞ")
def test_every_text_is_answered_or_clearly_refused(client: FlaskClient, shelf: None, q: str) -> None:
    refused = "\x00" in q or len(q.strip()) > 200
    assert (ask(client, {"q": q, "facets": "true", "total": "true"}) is None) == refused
    for path in ("/api/v1/books/suggest", "/api/v1/authors", "/api/v1/genres", "/api/v1/admin/exports/books"):
        assert client.get(path, query_string={"q": q}).status_code < 500


@thorough
@given(texts | st.none(), filters)
def test_what_is_found_fits_the_filters(
    client: FlaskClient, shelf: None, q: str | None, wanted: dict[str, str]
) -> None:
    page = ask(client, wanted | ({"q": q} if q is not None else {}) | {"limit": "100"})
    for book in page["items"] if page else []:
        assert fits(book, wanted), (book, wanted)


def fits(book: dict[str, Any], wanted: dict[str, str]) -> bool:
    price = Decimal(book["price"])
    return (
        wanted.get("language", book["language"])[:2] == book["language"]
        and wanted.get("format", book["format"]) == book["format"]
        and Decimal(wanted.get("min_price", 0)) <= price <= Decimal(wanted.get("max_price", 10_000))
        and wanted.get("in_stock", str(book["in_stock"]).lower()) == str(book["in_stock"]).lower()
        and ("min_rating" not in wanted or book["rating"]["average"] is not None)
        and (not wanted.get("publisher", "").strip() or book["publisher"] is not None)
        and (not wanted.get("series", "").strip() or book["series"] is not None)
    )


@thorough
@given(
    st.sampled_from([None, "clock", "clocks sea", "brandt", "the", "clokc", "maker -sea"]),
    st.sampled_from(SORTS),
    st.sampled_from([4, 7, 13]),
    filters,
)
def test_pages_have_no_gaps_and_no_repeats(
    client: FlaskClient, shelf: None, q: str | None, sort: str, limit: int, wanted: dict[str, str]
) -> None:
    query = wanted | {"sort": sort} | ({"q": q} if q else {})
    whole = ask(client, query | {"limit": "100", "total": "true"})
    if whole is None:
        return
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = ask(client, query | {"limit": str(limit)} | ({"cursor": cursor} if cursor else {}))
        assert page is not None
        seen += [book["id"] for book in page["items"]]
        cursor = page["next_cursor"]
    assert seen == [book["id"] for book in whole["items"]]
    assert len(seen) == whole["total"]
