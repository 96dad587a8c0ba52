"""Authors and genres: names that are theirs alone, slugs that stay, counts, and no removal while books have them."""

from __future__ import annotations

from uuid import uuid4

import pytest

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
