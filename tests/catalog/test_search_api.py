"""Finding books: words, filters, orders, pages and facets; the traps of comparable systems among them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

BOOKS = "/api/v1/books"


@pytest.fixture
def shelf(add_book):
    """A few books with names that are awkward to search for."""
    for title, fields in {
        "The Lord of the Rings": {"authors": ["J. R. R. Tolkien"], "publisher": "Allen & Unwin", "price": "30.00"},
        "The Lord of the Rings Sketchbook": {"authors": ["Alan Lee"], "price": "12.50"},
        "Going After Cacciato": {"authors": ["Tim O\u2019Brien"], "price": "9.00"},
        "Wuthering Heights": {"authors": ["Emily Brontë"], "price": "7.00", "isbn": "9780141439556"},
        "Catch-22": {"authors": ["Joseph Heller"], "price": "11.00", "format": "ebook"},
        "100% Proof": {"authors": ["Ann Percent"], "price": "11.00"},
        "Mort": {"authors": ["Terry Pratchett"], "series": {"name": "Discworld", "position": 4}, "language": "en"},
        "Straße nach Łódź": {"authors": ["Günter Grass"], "language": "de", "price": "14.00"},
        "A Wild Sheep Chase": {"authors": ["村上春樹"], "price": "10.00"},
    }.items():
        add_book(title, **fields)


@pytest.fixture
def find(client):
    def titles(**query):
        answer = client.get(BOOKS, query_string=query)
        assert answer.status_code == 200, answer.json
        return [book["title"] for book in answer.json["items"]]

    return titles


WORDS = [
    ("lord of the rings", "The Lord of the Rings"),
    ("LORD rings tolk", "The Lord of the Rings"),
    ("jrr tolkien", "The Lord of the Rings"),
    ("J.R.R. Tolkien", "The Lord of the Rings"),
    ("j r r tolkien", "The Lord of the Rings"),
    ("o'brien", "Going After Cacciato"),
    ("o\u2019brien", "Going After Cacciato"),
    ("obrien", "Going After Cacciato"),
    ("bronte", "Wuthering Heights"),
    ("BRONTË wuthering", "Wuthering Heights"),
    ("978-0-14-143955-6", "Wuthering Heights"),
    ("0141439556", "Wuthering Heights"),
    ("catch 22", "Catch-22"),
    ("catch-22", "Catch-22"),
    ("catch -lord", "Catch-22"),
    ("100%", "100% Proof"),
    ("discworld", "Mort"),
    ("strasse lodz", "Straße nach Łódź"),
    ("unwin", "The Lord of the Rings"),
    ("村上春樹", "A Wild Sheep Chase"),
]
WORDLESS = ["%", "_", "-", "'", '"', "\\", "!&|", "' OR 1=1 --", "nothingness", "()", "-%-"]
FILTERS: list[tuple[dict[str, str], list[str]]] = [
    ({"author": "o'brien"}, ["Going After Cacciato"]),
    ({"author": "Emily Bronte"}, ["Wuthering Heights"]),
    ({"author": "lord"}, []),
    ({"author": "%"}, []),
    ({"author": str(uuid4())}, []),
    ({"publisher": "allen & unwin"}, ["The Lord of the Rings"]),
    ({"publisher": "allen%"}, []),
    ({"series": "DISCWORLD"}, ["Mort"]),
    ({"language": "ger"}, ["Straße nach Łódź"]),
    ({"format": "ebook"}, ["Catch-22"]),
    ({"min_price": "12.51", "max_price": "14"}, ["Straße nach Łódź"]),
    ({"genre": "no-such-genre"}, []),
    ({"min_rating": "1"}, []),
    ({"in_stock": "true"}, []),
]


@pytest.mark.usefixtures("shelf")
def test_words_find_the_book_that_a_person_means(find):
    assert [(q, find(q=q)[:1]) for q, _ in WORDS] == [(q, [title]) for q, title in WORDS]


@pytest.mark.usefixtures("shelf")
def test_text_without_words_finds_nothing_rather_than_all(find):
    assert [(q, find(q=q)) for q in WORDLESS] == [(q, []) for q in WORDLESS]


@pytest.mark.usefixtures("shelf")
def test_filters(find):
    assert [(query, find(**query)) for query, _ in FILTERS] == FILTERS


def test_genres_widen_and_other_filters_narrow(client, admin, add_book, find):
    ids = {
        name: client.post("/api/v1/genres", json={"name": name}, headers=admin).json["id"]
        for name in ("Poetry", "Drama", "Science Fiction")
    }
    for title, genres in {"Faust": ["Drama", "Poetry"], "Dune": ["Science Fiction"], "Odes": ["Poetry"]}.items():
        add_book(title, genre_ids=[ids[genre] for genre in genres])
    assert find(genre="poetry", sort="title") == ["Faust", "Odes"]
    assert find(genre=["drama", "science-fiction"], sort="title") == ["Dune", "Faust"]
    assert find(genre="poetry", q="faust") == ["Faust"]


def test_in_stock_counts_what_can_be_sold(add_book, find):
    add_book("Here", stock=1)
    add_book("Gone")
    assert find(in_stock="true") == ["Here"]
    assert find(in_stock="false") == ["Gone"]


@pytest.mark.usefixtures("shelf")
@pytest.mark.parametrize("q", [None, "the", "-nothing"])
def test_pages_hold_every_book_once_in_every_order(client, q):
    for sort in ("newest", "title", "price", "-price", "rating", "bestselling", "relevance"):
        _walk(client, {"sort": sort, "limit": 2} | ({"q": q} if q else {}))


def _walk(client, query):
    whole = client.get(BOOKS, query_string=query | {"limit": 100, "total": "true"}).json
    seen, cursor = [], None
    while True:
        page = client.get(BOOKS, query_string=query | ({"cursor": cursor} if cursor else {})).json
        seen += page["items"]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert [book["id"] for book in seen] == [book["id"] for book in whole["items"]]
    assert whole["total"] == len(seen) > 1


@pytest.mark.usefixtures("shelf")
def test_orders(find, client):
    assert find(sort="price")[0] == "Wuthering Heights"
    assert find(sort="-price")[0] == "The Lord of the Rings"
    assert find(sort="newest")[0] == "A Wild Sheep Chase"
    assert find(sort="title")[:2] == ["100% Proof", "A Wild Sheep Chase"]
    assert "total" not in client.get(BOOKS).json


SENSELESS: list[dict[str, Any]] = [
    {"limit": 0},
    {"limit": 101},
    {"limit": 10**20},
    {"limit": "x"},
    {"page": 10**20},
    {"cursor": "x"},
    {"cursor": "WyJ0aXRsZSIsIDFd"},
    {"sort": "password"},
    {"min_price": "1e12"},
    {"min_price": -1},
    {"min_rating": 6},
    {"min_rating": "nan"},
    {"format": "scroll"},
    {"language": "klingon"},
    {"in_stock": "perhaps"},
    {"q": "nul\x00"},
    {"q": "x" * 201},
    {"q": ["a", "b"]},
]


def test_a_query_that_makes_no_sense_is_refused(client):
    answers = [(query, client.get(BOOKS, query_string=query).status_code) for query in SENSELESS]
    assert answers == [(query, 422) for query in SENSELESS]


@pytest.mark.usefixtures("shelf")
def test_a_cursor_of_another_order_is_refused(client):
    cursor = client.get(BOOKS, query_string={"sort": "price", "limit": 1}).json["next_cursor"]
    assert client.get(BOOKS, query_string={"sort": "title", "cursor": cursor}).status_code == 422


def test_facets_count_what_the_search_finds(client, admin, add_book):
    genre = client.post("/api/v1/genres", json={"name": "Poetry"}, headers=admin).json["id"]
    for number in range(3):
        add_book(f"Odes {number}", authors=["John Keats"], genre_ids=[genre], language="en", stock=number)
    add_book("Prose", authors=["Jane Austen"], format="ebook", publisher="Dent")
    facets = client.get(BOOKS, query_string={"facets": "true", "limit": 1}).json["facets"]
    assert facets["genre"] == [{"value": "poetry", "name": "Poetry", "count": 3}]
    assert [(each["name"], each["count"]) for each in facets["author"]] == [("John Keats", 3), ("Jane Austen", 1)]
    assert facets["publisher"] == [{"value": "Dent", "name": "Dent", "count": 1}]
    assert facets["language"] == [{"value": "en", "name": "en", "count": 3}]
    assert {each["value"]: each["count"] for each in facets["format"]} == {"paperback": 3, "ebook": 1}
    assert {each["value"]: each["count"] for each in facets["in_stock"]} == {"true": 2, "false": 2}
    narrowed = client.get(BOOKS, query_string={"facets": "true", "q": "odes", "in_stock": "true"}).json["facets"]
    assert [each["count"] for each in narrowed["author"]] == [2]


@pytest.mark.usefixtures("shelf")
def test_no_text_at_all_breaks_the_search(client):
    @example(q="-^O\x87d", field="q")
    @example(q="odes -to'autumn", field="q")
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        q=st.one_of(st.text(max_size=60), st.text(alphabet="ab \"'-!|&:*<>()%_\\/.", max_size=40)),
        field=st.sampled_from(["q", "author", "publisher", "series", "genre", "cursor", "sort", "limit", "min_price"]),
    )
    def search(q, field):
        try:
            q.encode()
        except UnicodeEncodeError:
            return
        assert client.get(BOOKS, query_string={field: q, "facets": "true"}).status_code in (200, 422)
        assert client.get("/api/v1/authors", query_string={"q": q}).status_code in (200, 422)

    search()


def test_authors_are_suggested_who_have_a_book_on_sale(client, admin, add_book):
    kept, gone = (add_book("A Tale", authors=[name])["id"] for name in ("Quilla Kept", "Quilla Gone"))
    client.post("/api/v1/authors", json={"name": "Quilla Unread"}, headers=admin)

    def suggested(typed):
        items = client.get(f"{BOOKS}/suggest", query_string={"q": typed}).json["items"]
        return sorted(item["text"] for item in items if item["kind"] == "author")

    assert [suggested(typed) for typed in ("quil", "quilla gone", "unread")] == [
        ["Quilla Gone", "Quilla Kept"],
        ["Quilla Gone"],
        [],
    ]
    client.delete(f"{BOOKS}/{gone}", headers=admin)
    assert [suggested(typed) for typed in ("quil", "quilla gone", "gone")] == [["Quilla Kept"], [], []]
    client.delete(f"{BOOKS}/{kept}", headers=admin)
    assert suggested("quil") == []
