"""Reviews over HTTP, as API.md has them."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from common.db import Database
from common.events.administration import ReviewsAdminActed
from common.events.auth import UserUpdated
from common.events.reviews import BookRatingChanged
from common.ids import new_id
from review_service.events import HANDLERS
from tests.review.factories import buy, post, reviewed
from tests.support.database import deliver, emitted
from tests.support.tokens import bearer


def test_a_buyer_reviews_a_book(database: Database, client: FlaskClient) -> None:
    book, user = new_id(), new_id()
    buy(database, user, book)
    answer = post(client, book, user=user, rating=5, title="  Fine ", body="Read twice.", username="ada")
    assert answer.status_code == 201
    review = answer.json
    assert review | {"id": "", "created_at": "", "updated_at": ""} == {
        "id": "",
        "book_id": str(book),
        "user": {"id": str(user), "name": "ada"},
        "rating": 5,
        "title": "Fine",
        "body": "Read twice.",
        "verified_purchase": True,
        "helpful_count": 0,
        "contains_spoiler": False,
        "is_hidden": False,
        "hidden_reason": None,
        "created_at": "",
        "updated_at": "",
    }
    assert review["created_at"].endswith("Z")
    assert answer.headers["Location"] == f"/api/v1/reviews/{review['id']}"
    assert client.get(answer.headers["Location"]).json == review
    (event,) = emitted(database)
    assert isinstance(event, BookRatingChanged)
    assert (event.book_id, event.version, event.count, str(event.average)) == (book, 1, 1, "5.00")


def test_a_review_may_be_posted_to_its_book_and_be_stars_only(database: Database, client: FlaskClient) -> None:
    book, user = new_id(), new_id()
    buy(database, user, book)
    answer = client.post(
        f"/api/v1/books/{book}/reviews", json={"rating": 1, "title": "", "body": None}, headers=bearer(subject=user)
    )
    assert answer.status_code == 201
    assert (answer.json["book_id"], answer.json["title"], answer.json["body"]) == (str(book), None, None)


def test_a_second_review_is_a_conflict_and_after_deleting_the_first_it_is_not(
    database: Database, client: FlaskClient
) -> None:
    """A unique index over deleted rows too would refuse it for ever."""
    book, user = new_id(), new_id()
    first = reviewed(database, client, book, user=user)
    again = post(client, book, user=user)
    assert (again.status_code, again.json["code"]) == (409, "already_reviewed")
    assert client.delete(f"/api/v1/reviews/{first['id']}", headers=first["headers"]).status_code == 204
    assert post(client, book, user=user).status_code == 201
    assert client.get(f"/api/v1/reviews?user_id={user}&total=true").json["total"] == 1


def test_the_mail_address_of_a_reviewer_is_nowhere(database: Database, client: FlaskClient) -> None:
    book, user = new_id(), new_id()
    buy(database, user, book)
    headers = bearer(subject=user, username="ada", email="ada@example.com")
    shown = client.post("/api/v1/reviews", json={"book_id": str(book), "rating": 4}, headers=headers).text
    for path in ("/api/v1/reviews", f"/api/v1/books/{book}/reviews"):
        shown += client.get(path).text
    assert "ada" in shown
    assert "@" not in shown


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"rating": 0}, "rating"),
        ({"rating": 6}, "rating"),
        ({"rating": 4.5}, "rating"),
        ({"rating": "5"}, "rating"),
        ({"rating": True}, "rating"),
        ({"rating": None}, "rating"),
        ({"rating": 2**31}, "rating"),
        ({"title": "x" * 201}, "title"),
        ({"body": "x" * 10_001}, "body"),
        ({"body": 7}, "body"),
        ({"title": "nul\x00"}, ""),
        ({"book_id": "99999999999"}, "book_id"),
        ({"helpful_count": 100}, "helpful_count"),
        ({"user_id": str(new_id())}, "user_id"),
        ({"verified_purchase": True}, "verified_purchase"),
    ],
)
def test_invalid_input_is_named_by_field(client: FlaskClient, changes: dict[str, Any], field: str) -> None:
    body = {"book_id": str(new_id()), "rating": 3} | changes
    answer = client.post("/api/v1/reviews", json=body, headers=bearer())
    assert answer.status_code == 422
    assert answer.content_type == "application/problem+json"
    assert field in [error["field"] for error in answer.json["errors"]]


@pytest.mark.parametrize(
    ("payload", "content_type", "status"),
    [("{", "application/json", 400), ("[]", "application/json", 422), ("{}", "text/plain", 415)],
)
def test_what_is_no_json_object_is_refused(client: FlaskClient, payload: str, content_type: str, status: int) -> None:
    answer = client.post("/api/v1/reviews", data=payload, content_type=content_type, headers=bearer())
    assert answer.status_code == status


def test_writing_needs_a_person_with_the_scope(client: FlaskClient) -> None:
    body = {"book_id": str(new_id()), "rating": 3}
    nobody = client.post("/api/v1/reviews", json=body)
    assert (nobody.status_code, "WWW-Authenticate" in nobody.headers) == (401, True)
    for headers in (bearer(scopes=["openid"]), bearer(role=None, scopes=["reviews:write"])):
        assert client.post("/api/v1/reviews", json=body, headers=headers).status_code == 403
    assert client.get("/api/v1/reviews", headers={"Authorization": "Bearer no.such.token"}).status_code == 401


def test_put_replaces_and_patch_merges(database: Database, client: FlaskClient) -> None:
    review = reviewed(database, client, new_id(), rating=5, title="Title", body="Body")
    path, headers = f"/api/v1/reviews/{review['id']}", review["headers"]
    merged = client.patch(path, json={"rating": 2}, headers=headers).json
    assert (merged["rating"], merged["title"], merged["body"]) == (2, "Title", "Body")
    assert client.patch(path, json={"title": None}, headers=headers).json["title"] is None
    replaced = client.put(path, json={"rating": 3, "title": "New"}, headers=headers).json
    assert (replaced["rating"], replaced["title"], replaced["body"]) == (3, "New", None)
    assert replaced["created_at"] == review["created_at"]
    assert replaced["updated_at"] > review["updated_at"]
    for body in ({}, {"title": "no rating"}):
        assert client.put(path, json=body, headers=headers).status_code == 422
    assert client.patch(path, json={"rating": None}, headers=headers).status_code == 422
    assert client.patch(path, json={"book_id": str(new_id())}, headers=headers).status_code == 422


def test_a_change_that_changes_nothing_tells_nobody(database: Database, client: FlaskClient) -> None:
    review = reviewed(database, client, new_id(), rating=5)
    answer = client.put(f"/api/v1/reviews/{review['id']}", json={"rating": 5}, headers=review["headers"])
    assert answer.headers["ETag"] == review["etag"]
    assert len(emitted(database)) == 1


def test_etags_guard_changes_and_spare_reads(database: Database, client: FlaskClient) -> None:
    review = reviewed(database, client, new_id())
    path, stale = f"/api/v1/reviews/{review['id']}", review["headers"] | {"If-Match": review["etag"]}
    unchanged = client.get(path, headers={"If-None-Match": review["etag"]})
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    changed = client.patch(path, json={"title": "a"}, headers=stale)
    assert changed.status_code == 200
    assert changed.headers["ETag"] != review["etag"]
    for answer in (
        client.patch(path, json={"title": "b"}, headers=stale),
        client.put(path, json={"rating": 1}, headers=stale),
        client.delete(path, headers=stale),
    ):
        assert (answer.status_code, answer.json["code"]) == (412, "precondition_failed")
    assert client.get(path, headers={"If-None-Match": review["etag"]}).json["title"] == "a"


def test_what_readers_make_of_a_review_changes_its_tag_and_is_no_conflict_for_its_writer(
    database: Database, client: FlaskClient
) -> None:
    user = new_id()
    review = reviewed(database, client, new_id(), user=user)
    path, tags = f"/api/v1/reviews/{review['id']}", [review["etag"]]
    client.post(f"{path}/helpful", headers=bearer())
    tags.append(client.get(path).headers["ETag"])
    deliver(database, HANDLERS, UserUpdated(user_id=user, username="ada.l", email="a@example.com", role="customer"))
    tags.append(client.get(path).headers["ETag"])
    assert len(set(tags)) == 3
    as_read = review["headers"] | {"If-Match": review["etag"]}
    edited = client.patch(path, json={"title": "a"}, headers=as_read)
    assert (edited.status_code, edited.json["helpful_count"]) == (200, 1)
    assert client.patch(path, json={"title": "b"}, headers=as_read).status_code == 412


def test_nobody_changes_or_deletes_the_review_of_somebody_else(database: Database, client: FlaskClient) -> None:
    review = reviewed(database, client, new_id())
    path = f"/api/v1/reviews/{review['id']}"
    for headers in (bearer(), bearer(role="admin")):
        assert client.put(path, json={"rating": 1}, headers=headers).status_code == 403
        assert client.patch(path, json={"rating": 1}, headers=headers).status_code == 403
    assert client.delete(path, headers=bearer()).status_code == 403
    assert client.delete(path).status_code == 401
    read_only = bearer(subject=review["user"]["id"], scopes=["openid"])
    assert client.delete(path, headers=read_only).status_code == 403
    assert client.get(path).json["rating"] == review["rating"]


def test_a_moderator_deletes_any_review(database: Database, client: FlaskClient) -> None:
    review = reviewed(database, client, new_id())
    path = f"/api/v1/reviews/{review['id']}"
    assert client.delete(path, headers=bearer(role="admin")).status_code == 204
    assert client.get(path).status_code == 404
    (told,) = [event for event in emitted(database) if isinstance(event, ReviewsAdminActed)]
    assert (told.action, told.resource_id) == ("review.deleted", review["id"])


def test_taking_ones_own_review_back_is_no_act_of_the_staff(database: Database, client: FlaskClient) -> None:
    review = reviewed(database, client, new_id())
    assert client.delete(f"/api/v1/reviews/{review['id']}", headers=review["headers"]).status_code == 204
    assert not [event for event in emitted(database) if isinstance(event, ReviewsAdminActed)]


def test_a_deleted_review_is_gone_from_everything(database: Database, client: FlaskClient) -> None:
    book = new_id()
    review = reviewed(database, client, book, rating=1)
    reviewed(database, client, book, rating=5)
    path, headers = f"/api/v1/reviews/{review['id']}", review["headers"]
    client.delete(path, headers=headers)
    page = client.get(f"/api/v1/books/{book}/reviews?total=true").json
    assert (page["total"], page["count"], page["average"]) == (1, 1, 5.0)
    assert page["histogram"] == {"1": 0, "2": 0, "3": 0, "4": 0, "5": 1}
    assert client.get("/api/v1/reviews?total=true").json["total"] == 1
    for answer in (
        client.get(path),
        client.put(path, json={"rating": 1}, headers=headers),
        client.patch(path, json={"rating": 1}, headers=headers),
        client.delete(path, headers=headers),
        client.post(f"{path}/helpful", headers=bearer()),
    ):
        assert (answer.status_code, answer.json["code"]) == (404, "not_found")


def test_a_book_without_reviews_has_an_empty_list(client: FlaskClient) -> None:
    assert client.get(f"/api/v1/books/{new_id()}/reviews").json == {
        "items": [],
        "next_cursor": None,
        "average": None,
        "count": 0,
        "histogram": {"1": 0, "2": 0, "3": 0, "4": 0, "5": 0},
    }


def test_filters(database: Database, client: FlaskClient) -> None:
    book, user = new_id(), new_id()
    wanted = reviewed(database, client, book, user=user, rating=2)["id"]
    reviewed(database, client, book, rating=3)
    reviewed(database, client, new_id(), user=user, rating=4)

    def ids(path: str) -> list[str]:
        return [item["id"] for item in client.get(f"/api/v1{path}").json["items"]]

    assert len(ids(f"/reviews?book_id={book}")) == len(ids(f"/reviews?user_id={user}")) == 2
    assert ids(f"/reviews?book_id={book}&user_id={user}") == ids("/reviews?rating=2") == [wanted]
    assert ids(f"/books/{book}/reviews?rating=2") == [wanted]
    assert client.get(f"/api/v1/books/{book}/reviews?rating=2").json["count"] == 2


@pytest.mark.parametrize("sort", ["newest", "helpful", "rating"])
@pytest.mark.parametrize("scope", ["/api/v1/reviews", "/api/v1/books/{book}/reviews"])
def test_each_order_goes_through_all_pages(database: Database, client: FlaskClient, sort: str, scope: str) -> None:
    book = new_id()
    for stars in (3, 5, 1, 5, 3, 2, 3):
        review = reviewed(database, client, book, rating=stars)
        for _ in range(stars % 3):
            client.post(f"/api/v1/reviews/{review['id']}/helpful", headers=bearer())
    path, seen, cursor = scope.format(book=book), [], ""
    while cursor is not None:
        page = client.get(f"{path}?sort={sort}&limit=2&cursor={cursor}").json
        seen += page["items"]
        cursor = page["next_cursor"]
    key = {"newest": "created_at", "helpful": "helpful_count", "rating": "rating"}[sort]
    assert len({review["id"] for review in seen}) == 7
    assert [review[key] for review in seen] == sorted((review[key] for review in seen), reverse=True)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=1e20",
        "cursor=W10",
        "sort=worst",
        "rating=6",
        "rating=x",
        "book_id=99999999999",
        "user_id=x%0A",
        "page=2",
        "rating=1&rating=2",
    ],
)
def test_a_wrong_query_is_named(client: FlaskClient, query: str) -> None:
    answer = client.get(f"/api/v1/reviews?{query}")
    assert answer.status_code == 422
    assert answer.json["errors"][0]["field"] == query.partition("=")[0]


@pytest.mark.parametrize("id", ["99999999999", "x", "%00", "../admin", "0" * 4000])
def test_an_id_that_is_none_is_not_found(client: FlaskClient, id: str) -> None:
    for path in (f"/api/v1/reviews/{id}", f"/api/v1/books/{id}/reviews"):
        assert client.get(path).status_code == 404


def test_a_helpful_vote_counts_once_and_can_be_taken_back(database: Database, client: FlaskClient) -> None:
    review = reviewed(database, client, new_id())
    path, headers = f"/api/v1/reviews/{review['id']}/helpful", bearer()
    for _ in range(2):
        assert client.post(path, headers=headers).json["helpful_count"] == 1
    assert client.post(path, headers=bearer()).json["helpful_count"] == 2
    for _ in range(2):
        assert client.delete(path, headers=headers).status_code == 204
    shown = client.get(f"/api/v1/reviews/{review['id']}")
    assert shown.json["helpful_count"] == 1
    assert shown.headers["ETag"] != review["etag"]
    assert shown.json["updated_at"] == review["updated_at"]


def test_nobody_votes_for_their_own_review(database: Database, client: FlaskClient) -> None:
    review = reviewed(database, client, new_id())
    path = f"/api/v1/reviews/{review['id']}/helpful"
    answer = client.post(path, headers=review["headers"])
    assert (answer.status_code, answer.json["code"]) == (403, "own_review")
    assert client.post(path).status_code == 401


def test_openapi_describes_every_route(client: FlaskClient) -> None:
    document = client.get("/openapi.json").json
    assert set(document["paths"]) == {
        "/api/v1/reviews",
        "/api/v1/reviews/{id}",
        "/api/v1/reviews/{id}/helpful",
        "/api/v1/reviews/{id}/report",
        "/api/v1/books/{id}/reviews",
        "/api/v1/admin/reviews",
        "/api/v1/admin/reviews/alerts",
        "/api/v1/admin/reviews/bulk-delete",
        "/api/v1/admin/reviews/{id}",
        "/api/v1/admin/reviews/{id}/hide",
        "/api/v1/admin/reviews/{id}/reports",
        "/api/v1/admin/reviews/{id}/restore",
    }
    assert set(document["components"]["schemas"]["Histogram"]["properties"]) == {"1", "2", "3", "4", "5"}
