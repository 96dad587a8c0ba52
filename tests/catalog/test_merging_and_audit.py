"""Duplicates become one and nothing that led to them leads nowhere; what the staff do is told."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import uuid4

import pytest

from common.events.administration import CatalogAdminActed
from common.events.catalog import BookChanged
from tests.support.database import emitted
from tests.support.tokens import bearer

API = "/api/v1"
KINDS = [("authors", "author_ids", "author"), ("genres", "genre_ids", "genre")]


@pytest.fixture
def make(client, admin):
    def post(kind, name):
        return client.post(f"{API}/{kind}", json={"name": name}, headers=admin).json

    return post


def acts(database):
    return [event for event in emitted(database) if isinstance(event, CatalogAdminActed)]


@pytest.mark.parametrize(("kind", "field", "query"), KINDS)
def test_books_and_addresses_follow(client, admin, database, make, add_book, kind, field, query):
    kept, one, two = make(kind, "Kept"), make(kind, "Kept, A."), make(kind, "A. Kept")
    both = add_book("Both", **{field: [one["id"], kept["id"], two["id"]]})
    only = add_book("Only", **{field: [two["id"]]})
    path = f"{API}/{kind}/{kept['id']}/merge"
    merged = client.post(path, json={"duplicate_ids": [one["id"], two["id"]]}, headers=admin)
    assert (merged.status_code, merged.json["book_count"]) == (200, 2)
    for reference in (one["id"], two["slug"]):
        assert client.get(f"{API}/{kind}/{reference}").json["id"] == kept["id"]
    for book in (both, only):
        assert [each["id"] for each in client.get(f"{API}/books/{book['id']}").json[kind]] == [kept["id"]]
    reference = one["slug"] if kind == "genres" else one["id"]
    page = client.get(f"{API}/books", query_string={query: reference, "facets": "true"}).json
    assert {book["title"] for book in page["items"]} == {"Both", "Only"}
    assert [(facet["name"], facet["count"]) for facet in page["facets"][query]] == [("Kept", 2)]
    changed = {str(event.book_id) for event in emitted(database) if isinstance(event, BookChanged)}
    assert changed == {both["id"], only["id"]}
    assert acts(database)[-1].action == f"{query}.merged"


@pytest.mark.parametrize(("kind", "_field", "_query"), KINDS)
def test_merges_chain_and_their_slugs_are_not_given_anew(client, admin, make, kind, _field, _query):
    first, second, third = make(kind, "First"), make(kind, "Second"), make(kind, "Third")
    for target, duplicate in ((second, first), (third, second)):
        body = {"duplicate_ids": [duplicate["id"]]}
        assert client.post(f"{API}/{kind}/{target['id']}/merge", json=body, headers=admin).status_code == 200
    assert client.get(f"{API}/{kind}/first").json["id"] == third["id"]
    assert make(kind, "First")["slug"] != "first"


@pytest.mark.parametrize(("kind", "_field", "_query"), KINDS)
def test_what_cannot_be_merged_is_refused(client, admin, make, kind, _field, _query):
    kept = make(kind, "Kept")
    path = f"{API}/{kind}/{kept['id']}/merge"
    for ids in ([kept["id"]], [str(uuid4())], []):
        assert client.post(path, json={"duplicate_ids": ids}, headers=admin).status_code == 422
    unknown = f"{API}/{kind}/{uuid4()}/merge"
    assert client.post(unknown, json={"duplicate_ids": [kept["id"]]}, headers=admin).status_code == 404
    assert client.post(path, json={"duplicate_ids": [kept["id"]]}, headers=bearer()).status_code == 403


def test_every_change_of_a_book_is_told_once(client, admin, database, add_book):
    book = add_book("Emma", stock=3)
    path = f"{API}/books/{book['id']}"
    for _ in range(2):
        client.patch(path, json={"price": "5.00"}, headers=admin)
    client.delete(path, headers=admin)
    client.post(f"{path}/restore", headers=admin)
    told = acts(database)
    actions = ["book.created", "stock.corrected", "book.updated", "book.deleted", "book.restored"]
    assert [event.action for event in told] == actions
    assert (told[2].before, told[2].after) == ({"price": "9.99"}, {"price": "5.00"})
    assert told[1].reason == "delivery"
    assert {event.resource_id for event in told} == {book["id"]}


@pytest.mark.parametrize(("kind", "field", "_query"), KINDS)
@pytest.mark.parametrize("ending", ["merge", "delete"])
def test_a_book_written_while_its_author_or_genre_goes_is_refused_or_follows(
    app, client, admin, make, add_book, kind, field, _query, ending
):
    book, kept = add_book("Emma")["id"], make(kind, "Kept")["id"]
    for number in range(5):
        gone = make(kind, f"Gone {number}")["id"]
        start = Barrier(2)

        def write(gone=gone, start=start):
            start.wait()
            return app.test_client().patch(f"{API}/books/{book}", json={field: [gone]}, headers=admin)

        def end(gone=gone, start=start):
            start.wait()
            path = f"{API}/{kind}"
            if ending == "delete":
                return app.test_client().delete(f"{path}/{gone}", headers=admin)
            return app.test_client().post(f"{path}/{kept}/merge", json={"duplicate_ids": [gone]}, headers=admin)

        with ThreadPoolExecutor(2) as pool:
            written, ended = pool.submit(write), pool.submit(end)
        codes = written.result().status_code, ended.result().status_code
        assert codes[0] in (200, 409, 422), written.result().json
        assert codes[1] in (200, 204, 409), ended.result().json
        linked = {each["id"] for each in client.get(f"{API}/books/{book}").json[kind]}
        assert (gone in linked) <= (codes[1] == 409)
