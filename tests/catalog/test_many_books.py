"""What finding books does when there are many: it reads along indexes, in bounded steps, and misses none."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from benchmarks.catalog import READ_THROUGH, Reader
from benchmarks.many_books import Multiplier, invented
from catalog_service.domain import facets, search, words
from common.db import Database
from tests.support.database import empty
from tests.support.plans import plans

BOOKS = "/api/v1/books"
MANY = 1_500
NOT_READ_THROUGH = "SET enable_seqscan = off"
"""What has no index would have to be read through all the same."""


@pytest.fixture
def many(database: Database) -> Iterator[None]:
    rng = random.Random(7)
    Multiplier(database, invented(rng, 400), rng).grow(MANY)
    yield
    empty(database)


def test_no_request_needs_to_read_all_books(database: Database, many: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facets, "LARGE", 0)
    through = {}
    with database.read() as session, plans(database.engine, settings=NOT_READ_THROUGH) as made:
        for name, work in Reader(session).requests().items():
            made.clear()
            work()
            assert made
            through[name] = [plan for plan in made if READ_THROUGH in plan]
    assert {name: found for name, found in through.items() if found} == {}


@pytest.mark.parametrize("limit", [7, 10])
def test_more_matches_than_are_ranked_follow_by_popularity(
    client: FlaskClient, many: None, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(search, "RANKED", 50)
    query = {"q": "house", "limit": limit, "total": "true"}
    seen, cursor, total = [], None, None
    while True:
        page = client.get(BOOKS, query_string=query | ({"cursor": cursor} if cursor else {})).json
        seen += [book["id"] for book in page["items"]]
        assert total in (None, page["total"])
        total, cursor = page["total"], page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == total > 100


def test_a_title_that_is_the_text_comes_first_however_unpopular(
    client: FlaskClient, add_book: Any, many: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "RANKED", 50)
    add_book("The House")
    assert client.get(BOOKS, query_string={"q": "house"}).json["items"][0]["title"] == "The House"


def test_counts_of_many_books_are_fair_estimates(
    client: FlaskClient, many: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = client.get(BOOKS, query_string={"facets": "true"}).json
    assert exact["facets_estimated"] is False
    assert sum(each["count"] for each in exact["facets"]["format"]) == MANY
    monkeypatch.setattr(facets, "LARGE", MANY // 2)
    monkeypatch.setattr(facets, "SAMPLE", MANY // 3)
    left_out_per_sampled = 2
    estimated = client.get(BOOKS, query_string={"facets": "true"}).json
    assert estimated["facets_estimated"] is True
    for facet in ("format", "in_stock"):
        known = {each["value"]: each["count"] for each in exact["facets"][facet]}
        for each in estimated["facets"][facet]:
            standard_deviation = (left_out_per_sampled * known[each["value"]]) ** 0.5
            assert each["count"] == pytest.approx(known[each["value"]], abs=5 * standard_deviation)


def test_few_books_are_counted_exactly_among_many(
    client: FlaskClient, many: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = {"language": "sv", "facets": "true", "total": "true"}
    exact = client.get(BOOKS, query_string=query).json
    monkeypatch.setattr(facets, "LARGE", MANY // 2)
    monkeypatch.setattr(facets, "SAMPLE", MANY // 3)
    assert client.get(BOOKS, query_string=query).json == exact
    assert exact["facets"]["language"] == [{"value": "sv", "name": "sv", "count": exact["total"]}]


LOOSER = [
    ("little woman", "Little Women"),
    ("harry porter philosophers stone", "Harry Porter and the Sorcerer's Stone"),
    ("sorcerers stone harry xyzzy", "Harry Porter and the Sorcerer's Stone"),
    ("woman in black", "The Woman in Black"),
]


def test_where_nothing_has_all_words_more_spellings_or_most_words_do(
    client: FlaskClient, database: Database, add_book: Any
) -> None:
    for title in ("Little Women", "Harry Porter and the Sorcerer's Stone", "The Woman in Black", "Stone"):
        add_book(title)
    words.learn_all(database)
    found = [(q, client.get(BOOKS, query_string={"q": q}).json["items"]) for q, _ in LOOSER]
    assert [(q, items[0]["title"] if items else None) for q, items in found] == LOOSER
    for q in ("quite nothing", '"little woman"', "little -women", "women black xyzzy plugh"):
        assert client.get(BOOKS, query_string={"q": q}).json["items"] == []
