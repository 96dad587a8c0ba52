"""Authors and genres: names that are theirs alone, slugs that stay, counts, and no removal while books have them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import uuid4

import pytest

from catalog_service.domain import shelves
from tests.support.tokens import bearer

KINDS = ["authors", "genres"]


@pytest.fixture
def add(client, admin):
    def post(kind, name):
        return client.post(f"/api/v1/{kind}", json={"name": name}, headers=admin)

    return post


@pytest.mark.parametrize("kind", KINDS)
def test_create_read_rename_delete(client, admin, add, kind):
    answer = add(kind, "  Émile  Zola ")
    assert answer.status_code == 201
    made = answer.json
    assert made == {"id": made["id"], "name": "Émile  Zola", "slug": "emile-zola", "book_count": 0}
    path = answer.headers["Location"]
    assert client.get(path).json == made
    assert client.get(f"/api/v1/{kind}/emile-zola").json == made
    renamed = client.put(path, json={"name": "Zola"}, headers=admin).json
    assert (renamed["name"], renamed["slug"]) == ("Zola", "emile-zola")
    assert client.delete(path, headers=admin).status_code == 204
    assert client.get(path).status_code == 404
    assert client.delete(path, headers=admin).status_code == 404
    assert client.put(path, json={"name": "x"}, headers=admin).status_code == 404


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_is_taken_in_whatever_case(client, admin, add, kind):
    add(kind, "Drama")
    other = add(kind, "Poetry").json
    assert (add(kind, " DRAMA").status_code, add(kind, "drama").json["code"]) == (409, "name_taken")
    assert client.put(f"/api/v1/{kind}/{other['id']}", json={"name": "drama"}, headers=admin).status_code == 409
    assert client.put(f"/api/v1/{kind}/{other['id']}", json={"name": "POETRY"}, headers=admin).status_code == 200


@pytest.mark.parametrize("kind", KINDS)
def test_slugs_differ_even_if_names_look_alike(add, kind):
    slugs = [add(kind, name).json["slug"] for name in ("Zoë", "Zoe", "村上春樹", "Ω" * 200, "ΐ" * 200)]
    assert len(set(slugs)) == 5
    assert all(slug.isascii() and len(slug) <= 100 for slug in slugs)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_name_is_refused(client, admin, kind):
    for body in ({}, {"name": ""}, {"name": None}, {"name": "x" * 201}, {"name": "x", "slug": "y"}):
        assert client.post(f"/api/v1/{kind}", json=body, headers=admin).status_code == 422


@pytest.mark.parametrize("kind", KINDS)
def test_writes_are_for_the_staff(client, add, kind):
    path = f"/api/v1/{kind}"
    made = f"{path}/{add(kind, 'x').json['id']}"
    for method, where in (("POST", path), ("PUT", made), ("DELETE", made)):
        assert client.open(where, method=method, json={"name": "y"}).status_code == 401
        assert client.open(where, method=method, json={"name": "y"}, headers=bearer()).status_code == 403


@pytest.mark.parametrize(("kind", "field"), [("authors", "author_ids"), ("genres", "genre_ids")])
def test_what_books_have_is_counted_and_cannot_be_deleted(client, admin, add, add_book, kind, field):
    made = add(kind, "Held").json
    path = f"/api/v1/{kind}/{made['id']}"
    book = add_book(**{field: [made["id"]]})
    assert client.get(path).json["book_count"] == 1
    client.delete(f"/api/v1/books/{book['id']}", headers=admin)
    assert client.get(path).json["book_count"] == 0
    refused = client.delete(path, headers=admin)
    assert (refused.status_code, refused.json["code"]) == (409, "still_used")
    client.patch(f"/api/v1/books/{book['id']}", json={field: []}, headers=admin)
    assert client.delete(path, headers=admin).status_code == 204


def test_books_follow_their_author_to_another_name(client, admin, add_book):
    book = add_book("Romola", authors=["Mary Ann Evans", "Someone Else"])
    tag = client.get(f"/api/v1/books/{book['id']}").headers["ETag"]
    author = book["authors"][0]["id"]
    client.put(f"/api/v1/authors/{author}", json={"name": "George Eliot"}, headers=admin)
    found = client.get("/api/v1/books?q=george+eliot").json["items"]
    assert [each["name"] for each in found[0]["authors"]] == ["George Eliot", "Someone Else"]
    assert client.get("/api/v1/books?q=evans").json["items"] == []
    assert client.get(f"/api/v1/books/{book['id']}").headers["ETag"] != tag


def test_a_book_is_read_anew_once_its_genre_is_renamed(client, admin, add, add_book):
    genre = add("genres", "SciFi").json["id"]
    path = f"/api/v1/books/{add_book(genre_ids=[genre])['id']}"
    tag = client.get(path).headers["ETag"]
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 304
    client.put(f"/api/v1/genres/{genre}", json={"name": "Science fiction"}, headers=admin)
    shown = client.get(path, headers={"If-None-Match": tag})
    assert (shown.status_code, shown.json["genres"][0]["name"]) == (200, "Science fiction")
    edited = client.patch(path, json={"pages": 5}, headers=admin | {"If-Match": tag})
    assert edited.status_code == 200  # the book itself is as the editor saw it


def test_names_that_look_alike_can_be_made_at_the_same_moment(app, admin):
    def write(number, name, start):
        start.wait()
        body = {"title": "x", "price": "1.00", "authors": [f"{name} {number}"]}
        return app.test_client().post("/api/v1/books", json=body, headers=admin)

    def make(number, name, start):
        start.wait()
        return app.test_client().post("/api/v1/authors", json={"name": f"{name} {number}"}, headers=admin)

    with ThreadPoolExecutor(4) as pool:
        for number in range(8):
            start = Barrier(4)
            asked = [(write, "José"), (write, "Jose"), (write, "Jôse"), (make, "Josè")]
            answers = [pool.submit(how, number, name, start) for how, name in asked]
            assert [answer.result().status_code for answer in answers] == [201] * 4


def test_the_books_of_a_genre_are_counted_whatever_happens_to_them(client, admin, database, add, add_book, run):
    genres = [add("genres", name).json["id"] for name in ("One", "Two", "Three")]

    def counts():
        """As they are told, which is the same before and after what changed is added up."""
        told = [{each["name"]: each["book_count"] for each in client.get("/api/v1/genres").json["items"]}]
        shelves.settle_all(database)
        told.append({each["name"]: each["book_count"] for each in client.get("/api/v1/genres").json["items"]})
        assert told[0] == told[1]
        return told[0]

    books = [add_book(f"Book {number}", genre_ids=genres[: number + 1])["id"] for number in range(3)]
    assert counts() == {"One": 3, "Two": 2, "Three": 1}
    client.patch(f"/api/v1/books/{books[0]}", json={"genre_ids": [genres[2]]}, headers=admin)
    client.delete(f"/api/v1/books/{books[2]}", headers=admin)
    assert counts() == {"One": 1, "Two": 1, "Three": 1}
    client.patch(f"/api/v1/books/{books[2]}", json={"genre_ids": [genres[0]]}, headers=admin)
    client.post(f"/api/v1/books/{books[2]}/restore", headers=admin)
    assert counts() == {"One": 2, "Two": 1, "Three": 1}
    run("code,title,price,genres\nA,x,1.00,Two;Four\nB,y,1.00,Two\n")
    assert counts() == {"One": 2, "Two": 3, "Three": 1, "Four": 1}
    body = {"duplicate_ids": [genres[0], genres[2]]}
    client.post(f"/api/v1/genres/{genres[1]}/merge", json=body, headers=admin)
    assert counts() == {"Two": 5, "Four": 1}


def test_genres_are_counted_right_while_books_come_and_go(app, client, admin, database, add, add_book):
    kept = add("genres", "Kept").json["id"]
    others = [add("genres", f"Gone {number}").json["id"] for number in range(4)]
    books = [add_book(f"Book {number}", genre_ids=others)["id"] for number in range(4)]

    def send(method, path, **body):
        return app.test_client().open(f"/api/v1{path}", method=method, headers=admin, **body).status_code

    def sell(book):
        ways = [("DELETE", ""), ("POST", "/restore")] * 4
        return {send(method, f"/books/{book}{path}") for method, path in ways}

    def merge(_):
        return {send("POST", f"/genres/{kept}/merge", json={"duplicate_ids": [gone]}) for gone in others}

    def settle(_):
        for _ in range(8):
            shelves.settle_all(database)
        return {200}

    with ThreadPoolExecutor(6) as pool:
        done = [pool.submit(how, book) for how, book in [*((sell, book) for book in books), (merge, 0), (settle, 0)]]
        assert set().union(*(each.result() for each in done)) == {200, 204}
    assert client.get(f"/api/v1/genres/{kept}").json["book_count"] == 4
    assert send("DELETE", f"/books/{books[0]}") == 204
    assert client.get(f"/api/v1/genres/{kept}").json["book_count"] == 3


def test_authors_are_found_by_words_and_paged(client, add):
    for name in ("Flann O'Brien", "Tim O'Brien", "Kate Brian", "100%"):
        add("authors", name)
    found = client.get("/api/v1/authors?q=o'bri").json["items"]
    assert [author["name"] for author in found] == ["Flann O'Brien", "Tim O'Brien"]
    assert client.get("/api/v1/authors?q=%25").json["items"] == []
    first = client.get("/api/v1/authors?limit=3&total=true").json
    second = client.get(f"/api/v1/authors?limit=3&cursor={first['next_cursor']}").json
    names = [author["name"] for author in first["items"] + second["items"]]
    assert (names, first["total"]) == (["100%", "Flann O'Brien", "Kate Brian", "Tim O'Brien"], 4)


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_one_is_not_found(client, kind):
    for reference in ("99999999999", "%", str(uuid4()), "x" * 300):
        assert client.get(f"/api/v1/{kind}/{reference}").status_code == 404
