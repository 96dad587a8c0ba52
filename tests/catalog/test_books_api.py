"""Books over HTTP, as API.md has them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from common.events.catalog import BookAdded, BookChanged
from tests.catalog.conftest import replicated
from tests.support.tokens import bearer

BOOKS = "/api/v1/books"
AUTHORS = ["Jane Austen", "Ann Other", "Zadie Smith"]
EMMA_10, EMMA_13 = "0-14-143958-0", "9780141439587"


def test_a_book_is_created_and_read_by_id_and_isbn(client, add_book):
    made = add_book("Emma", isbn=EMMA_10, authors=["Jane Austen"], published_year=1815, language="eng")
    assert made["isbn"] == EMMA_13
    assert made["language"] == "en"
    assert [author["name"] for author in made["authors"]] == ["Jane Austen"]
    assert (made["available"], made["in_stock"], made["format"]) == (0, False, "paperback")
    for reference in (made["id"], EMMA_13, EMMA_10, "978-0-14-143958-7"):
        assert client.get(f"{BOOKS}/{reference}").json["id"] == made["id"]


def test_a_created_book_says_where_it_is_and_has_a_code_of_its_own(client, admin):
    answer = client.post(BOOKS, json={"title": "Emma", "price": "9.99"}, headers=admin)
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"{BOOKS}/{answer.json['id']}"
    assert answer.json["code"].startswith("BK-")
    assert answer.json["price"] == "9.99"
    assert answer.json["currency"] == "USD"


def test_a_book_that_does_not_exist_is_not_found(client):
    for reference in ("99999999999", "x", "9780141439580", "%", str(uuid4()), "9" * 300):
        assert client.get(f"{BOOKS}/{reference}").status_code == 404


def test_what_only_the_staff_may_know_is_shown_to_the_staff(client, admin, add_book):
    made = add_book(cost_price="4.50", stock=3)
    secret = {"cost_price", "on_hand", "reserved", "low_stock_threshold"}
    for headers in ({}, bearer(role="customer")):
        assert not secret & client.get(f"{BOOKS}/{made['id']}", headers=headers).json.keys()
        assert not secret & client.get(BOOKS, headers=headers).json["items"][0].keys()
    shown = client.get(f"{BOOKS}/{made['id']}", headers=admin).json
    assert (shown["cost_price"], shown["on_hand"], shown["reserved"]) == ("4.50", 3, 0)


def test_writes_are_for_the_staff(client, add_book):
    id = add_book()["id"]
    for method, path in (
        ("POST", ""),
        ("PUT", f"/{id}"),
        ("PATCH", f"/{id}"),
        ("DELETE", f"/{id}"),
        ("POST", f"/{id}/restore"),
        ("GET", "/inactive"),
        ("PATCH", f"/{id}/stock"),
        ("GET", f"/{id}/stock"),
    ):
        assert client.open(BOOKS + path, method=method, json={}).status_code == 401, (method, path)
        assert client.open(BOOKS + path, method=method, json={}, headers=bearer()).status_code == 403, (method, path)


BAD_FIELDS: list[tuple[str, Any]] = [
    ("price", "1e12"),
    ("price", "-1"),
    ("price", "12.999"),
    ("price", None),
    ("price", "NaN"),
    ("title", None),
    ("title", "  "),
    ("title", "nul\x00"),
    ("title", "x" * 501),
    ("pages", 2**31),
    ("pages", 0),
    ("published_year", 10**20),
    ("published_year", 2999),
    ("published_year", -9999),
    ("published_year", 0),
    ("isbn", "9780141439580"),
    ("language", "klingon"),
    ("format", "scroll"),
    ("stock", 5),
    ("on_hand", 5),
    ("author_ids", [str(uuid4())]),
    ("genre_ids", [str(uuid4())]),
    ("author_ids", ["nobody"]),
    ("series", {"name": "x", "position": 10**9}),
    ("low_stock_threshold", 2**31),
    ("code", "a b"),
]


@pytest.mark.parametrize("method", ["post", "put", "patch"])
def test_a_field_out_of_bounds_is_refused_and_named(client, admin, add_book, method):
    path = BOOKS if method == "post" else f"{BOOKS}/{add_book()['id']}"
    whole = {} if method == "patch" else {"title": "Emma", "price": "9.99"}
    for field, value in BAD_FIELDS:
        body = json.dumps(whole | {field: value})
        answer = client.open(path, method=method.upper(), data=body, content_type="application/json", headers=admin)
        assert answer.status_code == 422, (field, value)
        assert answer.json["errors"][0]["field"].split(".")[0] in (field, ""), (field, value)


def test_unknown_year_before_our_era_is_fine(add_book):
    assert add_book("The Odyssey", published_year=-720)["published_year"] == -720


def test_code_and_isbn_belong_to_one_book(client, admin, add_book):
    first, second = add_book(code="A-1", isbn=EMMA_13), add_book()
    for body, code in (({"code": "A-1"}, "code_taken"), ({"isbn": EMMA_10}, "isbn_taken")):
        whole = {"title": "Emma", "price": "1.00"}
        for answer in (
            client.post(BOOKS, json=whole | body, headers=admin),
            client.put(f"{BOOKS}/{second['id']}", json=whole | body, headers=admin),
            client.patch(f"{BOOKS}/{second['id']}", json=body, headers=admin),
        ):
            assert (answer.status_code, answer.json["code"]) == (409, code)
        assert client.patch(f"{BOOKS}/{first['id']}", json=body, headers=admin).status_code == 200


def test_of_many_who_add_the_same_book_at_once_one_succeeds(app, database, admin):
    def post(number):
        body = {"title": "Emma", "price": "9.99", "isbn": EMMA_10, "authors": AUTHORS[:: 1 if number % 2 else -1]}
        return app.test_client().post(BOOKS, json=body, headers=admin)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert {answer.json["code"] for answer in answers if answer.status_code == 409} == {"isbn_taken"}
    assert len(replicated(database)) == 1


def test_put_replaces_and_patch_merges(client, admin, add_book):
    made = add_book(
        "Emma",
        code="E-1",
        subtitle="A novel",
        publisher="Penguin",
        authors=["Jane Austen"],
        series={"name": "Penguins"},
    )
    path = f"{BOOKS}/{made['id']}"
    merged = client.patch(path, json={"publisher": None, "pages": 474}, headers=admin).json
    assert (merged["publisher"], merged["pages"], merged["subtitle"]) == (None, 474, "A novel")
    assert merged["series"] == {"name": "Penguins", "position": None}
    replaced = client.put(path, json={"title": "Emma", "price": "5.00"}, headers=admin).json
    assert (replaced["subtitle"], replaced["pages"], replaced["series"], replaced["authors"]) == (None, None, None, [])
    assert (replaced["code"], replaced["price"]) == ("E-1", "5.00")


def test_authors_keep_their_order_and_are_made_once(client, add_book):
    both = add_book("Good Omens", authors=["Terry Pratchett", "Neil Gaiman", "terry  pratchett"])
    assert [author["name"] for author in both["authors"]] == ["Terry Pratchett", "Neil Gaiman"]
    turned = add_book("Again", author_ids=[author["id"] for author in reversed(both["authors"])])
    assert turned["authors"] == both["authors"][::-1]
    assert len(client.get("/api/v1/authors").json["items"]) == 2


def test_authors_come_by_id_or_by_name_but_not_both(client, admin, add_book):
    ids = [author["id"] for author in add_book(authors=["Jane Austen"])["authors"]]
    body = {"title": "x", "price": "1.00", "authors": ["Jane Austen"], "author_ids": ids}
    assert client.post(BOOKS, json=body, headers=admin).status_code == 422


def test_a_deleted_book_is_gone_from_public_lists_and_comes_back(client, admin, add_book):
    made = add_book()
    path = f"{BOOKS}/{made['id']}"
    assert client.delete(path, headers=admin).status_code == 204
    assert client.delete(path, headers=admin).status_code == 204
    assert client.get(path).status_code == 404
    assert client.get(BOOKS).json["items"] == []
    assert client.get(path, headers=admin).json["is_active"] is False
    inactive = client.get(f"{BOOKS}/inactive", headers=admin).json["items"]
    assert [book["id"] for book in inactive] == [made["id"]]
    assert client.post(f"{path}/restore", headers=admin).json["is_active"] is True
    assert client.get(path).status_code == 200


def test_the_entity_tag_changes_with_the_answer(client, admin, add_book):
    path = f"{BOOKS}/{add_book()['id']}"
    first = client.get(path)
    tag = first.headers["ETag"]
    again = client.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
    client.patch(f"{path}/stock", json={"on_hand": 4}, headers=admin)
    after = client.get(path, headers={"If-None-Match": tag})
    assert (after.status_code, after.json["available"]) == (200, 4)
    assert client.get(path, headers=admin).headers["ETag"] != after.headers["ETag"]


def test_a_stale_if_match_is_refused(client, admin, add_book):
    path = f"{BOOKS}/{add_book()['id']}"
    tag = client.get(path, headers=admin).headers["ETag"]
    assert client.patch(path, json={"pages": 1}, headers=admin | {"If-Match": tag}).status_code == 200
    for method, body in (("PATCH", {"pages": 2}), ("PUT", {"title": "x", "price": "1.00"}), ("DELETE", None)):
        assert client.open(path, method=method, json=body, headers=admin | {"If-Match": tag}).status_code == 412
    assert client.get(path).json["pages"] == 1
    assert client.patch(path, json={"pages": 3}, headers=admin | {"If-Match": "*"}).status_code == 200


def test_a_sale_in_the_meantime_does_not_make_an_edit_stale(client, admin, add_book):
    path = f"{BOOKS}/{add_book()['id']}"
    tag = client.get(path, headers=admin).headers["ETag"]
    client.patch(f"{path}/stock", json={"on_hand": 4}, headers=admin)
    assert client.patch(path, json={"pages": 1}, headers=admin | {"If-Match": tag}).status_code == 200


def test_every_change_is_told_once_with_a_growing_version(client, admin, add_book, database):
    made = add_book("Emma", code="E-1")
    path = f"{BOOKS}/{made['id']}"
    for body in ({"price": "5.00"}, {"price": "5.00"}, {"authors": ["Jane Austen"]}, {"authors": ["Jane Austen"]}):
        client.patch(path, json=body, headers=admin)
    client.delete(path, headers=admin)
    client.post(f"{path}/restore", headers=admin)
    events = replicated(database)
    assert [type(event) for event in events] == [BookAdded, BookChanged, BookChanged, BookChanged, BookChanged]
    assert [event.version for event in events] == [1, 2, 3, 4, 5]
    assert [event.is_active for event in events] == [True, True, True, False, True]
    assert (str(events[1].price), events[1].code, events[1].title) == ("5.00", "E-1", "Emma")


def test_a_refused_write_tells_nothing(client, admin, add_book, database):
    add_book(code="E-1")
    client.post(BOOKS, json={"title": "x", "price": "1.00", "code": "E-1", "authors": ["New"]}, headers=admin)
    assert len(replicated(database)) == 1
    assert client.get("/api/v1/authors").json["items"] == []


def test_replicas_can_be_rebuilt(client, admin, add_book):
    ids = sorted(add_book(f"Book {number}", stock=number)["id"] for number in range(5))
    client.delete(f"{BOOKS}/{ids[0]}", headers=admin)
    service = bearer(role=None, scopes=["replicas:read"], subject="order-service")
    assert client.get("/internal/books").status_code == 401
    assert client.get("/internal/books", headers=admin).status_code == 403
    first = client.get("/internal/books?limit=3", headers=service).json
    second = client.get(f"/internal/books?limit=3&cursor={first['next_cursor']}", headers=service).json
    found = first["items"] + second["items"]
    assert [book["book_id"] for book in found] == ids
    assert set(found[0]) == set(BookAdded.model_fields)
    assert found[0]["is_active"] is False
    assert client.get(f"/internal/books/{ids[0]}", headers=service).json == found[0]
    some = client.get(f"/internal/books?id={ids[0]}&id={ids[3]}&id={uuid4()}", headers=service).json
    assert some["items"] == [found[0], found[3]]
    hundred_and_one = "&".join(f"id={uuid4()}" for _ in range(101))
    assert client.get(f"/internal/books?{hundred_and_one}", headers=service).status_code == 422
    assert client.get(f"/internal/books/{uuid4()}", headers=service).status_code == 404
