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


@pytest.fixture
def merge(client, admin):
    def post(kind, kept, duplicate):
        body = {"duplicate_ids": [duplicate["id"]]}
        return client.post(f"{API}/{kind}/{kept['id']}/merge", json=body, headers=admin)

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
    assert not [event for event in emitted(database) if isinstance(event, BookChanged)]  # it tells of neither
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
def test_a_name_that_comes_back_again_and_again_is_merged_each_time(client, make, merge, kind, _field, _query):
    kept = make(kind, "Kept")
    for _ in range(4):
        duplicate = make(kind, "Again")
        assert client.get(f"{API}/{kind}/{duplicate['slug']}").json["id"] == duplicate["id"]
        assert merge(kind, kept, duplicate).status_code == 200
        for reference in (duplicate["id"], duplicate["slug"], "again"):
            assert client.get(f"{API}/{kind}/{reference}").json["id"] == kept["id"]


def test_books_with_a_merged_name_are_of_the_one_that_stayed(client, admin, make, merge, add_book):
    first, second, third = (make("authors", name) for name in ("Jane Austin", "J. Austen", "Jane Austen"))
    merge("authors", second, first)
    merge("authors", third, second)
    book = add_book(authors=["jane  AUSTIN", "Jane Austen", "J. Austen"])
    assert book["authors"] == [{"id": third["id"], "name": "Jane Austen"}]
    other = add_book("Persuasion", authors=["Someone"])
    changed = client.patch(f"{API}/books/{other['id']}", json={"authors": ["J. Austen"]}, headers=admin)
    assert changed.json["authors"] == book["authors"]


def test_an_import_does_not_bring_a_merged_name_back(client, make, merge, run):
    text = "code,title,price,authors,genres\nA,Emma,9.99,Jane Austin;Jane Austen,Novels;Novel\n"
    run(text)
    for kind, slugs in (("authors", ("jane-austen", "jane-austin")), ("genres", ("novel", "novels"))):
        kept, gone = (client.get(f"{API}/{kind}/{slug}").json for slug in slugs)
        assert merge(kind, kept, gone).status_code == 200
    for _ in range(2):
        job, problems = run(text)
        assert (job.unchanged, job.updated, problems) == (1, 0, [])
    run(text.replace("A,Emma", "B,Emma"))
    for book in client.get(f"{API}/books").json["items"]:
        assert [author["name"] for author in book["authors"]] == ["Jane Austen"]
        assert [genre["name"] for genre in book["genres"]] == ["Novel"]
    assert len(client.get(f"{API}/authors").json["items"]) == 1


@pytest.mark.parametrize("how", ["create", "rename", "delete the other"])
def test_a_merged_name_can_be_taken_back(client, admin, make, merge, add_book, how):
    kept, gone = make("authors", "Kept"), make("authors", "Gone")
    merge("authors", kept, gone)
    if how == "create":
        taken = make("authors", "Gone")["id"]
    elif how == "rename":
        taken = make("authors", "Other")["id"]
        renamed = client.put(f"{API}/authors/{taken}", json={"name": "gone"}, headers=admin)
        assert renamed.status_code == 200
        assert client.put(f"{API}/authors/{taken}", json={"name": "Elsewhere"}, headers=admin).status_code == 200
        assert add_book("B", authors=["Gone"])["authors"][0]["id"] not in (taken, kept["id"])
        return
    else:
        assert client.delete(f"{API}/authors/{kept['id']}", headers=admin).status_code == 204
        taken = add_book("A", authors=["Gone"])["authors"][0]["id"]
    assert taken not in (kept["id"], gone["id"])
    assert add_book("C", authors=["Gone"])["authors"] == [{"id": taken, "name": "Gone"}]


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


def test_authors_are_renamed_and_merged_while_their_books_are_written(app, client, admin, make, add_book):
    author = make("authors", "Hot 0")["id"]
    books = [add_book(f"Emma {number}", author_ids=[author])["id"] for number in range(2)]
    rounds = range(6)

    def rename(me):
        for number in rounds:
            path = f"{API}/authors/{author}"
            yield app.test_client().put(path, json={"name": f"Hot {me} {number}"}, headers=admin)

    def write(me):
        for number in rounds:
            body = {"title": f"Emma {me} {number}", "author_ids": [author]}
            yield app.test_client().patch(f"{API}/books/{books[number % 2]}", json=body, headers=admin)

    def merge(_me):
        for number in rounds:
            gone = make("authors", f"Gone {number}")["id"]
            add_book(f"Of the gone {number}", author_ids=[gone, author])
            path = f"{API}/authors/{author}/merge"
            yield app.test_client().post(path, json={"duplicate_ids": [gone]}, headers=admin)

    with ThreadPoolExecutor(5) as pool:
        codes = pool.map(lambda each: [answer.status_code for answer in each(object())], [rename, write] * 2 + [merge])
    assert {code for each in codes for code in each} == {200}
    name = client.get(f"{API}/authors/{author}").json["name"]
    for book in client.get(f"{API}/books", query_string={"author": name}).json["items"]:
        assert book["authors"] == [{"id": author, "name": name}]


def test_what_was_before_is_read_under_the_lock(app, database, admin, make):
    genre = make("genres", "Name 0")["id"]
    names = [f"Name {number}" for number in range(1, 13)]
    start = Barrier(4)

    def rename(name):
        start.wait()
        return app.test_client().put(f"{API}/genres/{genre}", json={"name": name}, headers=admin).status_code

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(rename, names)) == {200}
    told = [(event.before["name"], event.after["name"]) for event in acts(database)[1:]]
    assert [before for before, _ in told[1:]] == [after for _, after in told[:-1]]
