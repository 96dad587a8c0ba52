"""Every operation, as everybody: nobody reads, writes, votes or decides in somebody else's place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from common.assurance import TWO_FACTORS
from common.db import Database
from common.ids import new_id
from review_service.config import ReviewConfig
from tests.review.factories import reviewed
from tests.support.tokens import CUSTOMER_SCOPES, bearer

WHO = ("nobody", "stranger", "writer", "staff", "service", "read-only")
REVIEW, ADMIN = "/api/v1/reviews/{id}", "/api/v1/admin/reviews"
WRITE = {"nobody": 401, "service": 403, "read-only": 403}
MODERATE = dict.fromkeys(WHO, 403) | {"nobody": 401}
REASON, RATING = {"reason": "Abuse"}, {"rating": 2}
CONTENT = {"book_id": "{other_book}", "rating": 2}

# Operation, its body, and what it answers to whom; whoever is not named is answered 2xx.
MATRIX: list[tuple[str, str, Any, dict[str, int]]] = [
    ("GET", "/api/v1/reviews", None, {}),
    ("GET", "/api/v1/books/{book}/reviews", None, {}),
    ("GET", REVIEW, None, {}),
    ("PUT", REVIEW, RATING, WRITE | {"stranger": 403, "staff": 403}),
    ("PATCH", REVIEW, RATING, WRITE | {"stranger": 403, "staff": 403}),
    ("DELETE", REVIEW, None, WRITE | {"stranger": 403}),
    ("POST", f"{REVIEW}/helpful", None, WRITE | {"writer": 403}),
    ("DELETE", f"{REVIEW}/helpful", None, WRITE),
    ("POST", f"{REVIEW}/report", REASON, WRITE | {"writer": 403}),
    ("POST", "/api/v1/reviews", CONTENT, WRITE | dict.fromkeys(("stranger", "writer", "staff"), 503)),
    ("POST", "/api/v1/books/{other_book}/reviews", RATING, WRITE | dict.fromkeys(("stranger", "writer", "staff"), 503)),
    ("GET", ADMIN, None, MODERATE | {"staff": 200}),
    ("GET", f"{ADMIN}/alerts", None, MODERATE | {"staff": 200}),
    ("GET", f"{ADMIN}/{{id}}", None, MODERATE | {"staff": 200}),
    ("GET", f"{ADMIN}/{{id}}/reports", None, MODERATE | {"staff": 200}),
    ("PATCH", f"{ADMIN}/{{id}}", {"contains_spoiler": True}, MODERATE | {"staff": 200}),
    ("POST", f"{ADMIN}/{{id}}/hide", REASON, MODERATE | {"staff": 200}),
    ("POST", f"{ADMIN}/{{id}}/restore", None, MODERATE | {"staff": 200}),
    ("POST", f"{ADMIN}/bulk-delete", {"ids": ["{id}"], "reason": "Abuse"}, MODERATE | {"staff": 200}),
    ("GET", "/internal/ratings", None, dict.fromkeys(WHO, 403) | {"nobody": 401}),
    ("GET", "/internal/users/{user}/data", None, dict.fromkeys(WHO, 403) | {"nobody": 401}),
]


def headers_of(who: str, writer: dict[str, str]) -> dict[str, str]:
    return {
        "nobody": {},
        "stranger": bearer(),
        "writer": writer,
        "staff": bearer(role="admin"),
        "service": bearer(role=None, scopes=(*CUSTOMER_SCOPES, "reviews:moderate")),
        "read-only": bearer(scopes=["openid"]),
    }[who]


def filled(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, str):
        return value.format_map(names)
    if isinstance(value, dict):
        return {name: filled(member, names) for name, member in value.items()}
    return [filled(member, names) for member in value] if isinstance(value, list) else value


@pytest.mark.parametrize("who", WHO)
def test_each_operation_answers_to_whom_it_should(database: Database, client: FlaskClient, who: str) -> None:
    for method, path, body, refusals in MATRIX:
        book, user = new_id(), new_id()
        review = reviewed(database, client, book, user=user)
        names = {"id": review["id"], "book": str(book), "other_book": str(new_id()), "user": str(user)}
        headers = headers_of(who, review["headers"])
        answer = client.open(path.format_map(names), method=method, json=filled(body, names), headers=headers)
        assert answer.status_code == refusals.get(who, answer.status_code), (method, path, answer.json)
        assert who in refusals or answer.status_code in (200, 204), (method, path, answer.json)
        if answer.status_code in (401, 403) and method != "GET":
            assert client.get(f"/api/v1/reviews/{review['id']}").headers["ETag"] == review["etag"]


@pytest.mark.parametrize("who", WHO)
def test_a_hidden_review_is_there_for_its_writer_and_the_staff(
    database: Database, client: FlaskClient, who: str
) -> None:
    review = reviewed(database, client, new_id())
    client.post(f"{ADMIN}/{review['id']}/hide", json=REASON, headers=bearer(role="admin"))
    answer = client.get(f"/api/v1/reviews/{review['id']}", headers=headers_of(who, review["headers"]))
    assert answer.status_code == (404 if who in ("nobody", "stranger", "read-only") else 200)


def test_where_moderation_needs_a_second_factor_deleting_for_others_does_too(
    app: Flask, database: Database, config: ReviewConfig
) -> None:
    app.extensions["config"] = replace(config, step_up_scopes=frozenset({"reviews:moderate"}))
    client, moderator = app.test_client(), new_id()
    others, own = reviewed(database, client, new_id()), reviewed(database, client, new_id(), user=moderator)
    staff = bearer(subject=moderator, role="admin")
    refused = client.delete(f"/api/v1/reviews/{others['id']}", headers=staff)
    assert (refused.status_code, refused.json["code"]) == (401, "second_factor_required")
    assert client.delete(f"/api/v1/reviews/{own['id']}", headers=staff).status_code == 204
    sure = bearer(subject=moderator, role="admin", acr=TWO_FACTORS)
    assert client.delete(f"/api/v1/reviews/{others['id']}", headers=sure).status_code == 204


def test_the_matrix_knows_every_operation(app: Flask) -> None:
    known = {(method, path.replace("{other_book}", "{id}").replace("{book}", "{id}")) for method, path, *_ in MATRIX}
    known = {(method, path.replace("{user}", "{id}")) for method, path in known}
    there = {
        (method, rule.rule.replace("<uuid:id>", "{id}"))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith(("/api/v1/", "/internal/"))
    }
    assert there == known
