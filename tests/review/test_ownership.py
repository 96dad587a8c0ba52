"""Nobody reviews, changes or votes for somebody else."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from common.db import Database
from common.ids import new_id
from tests.review.factories import buy, post, reviewed
from tests.support.tokens import bearer

NOT_OF_THE_WRITER = ("/helpful", "/report")
"""What strangers do with a review."""


@pytest.fixture
def review(database: Database, client: FlaskClient) -> dict[str, Any]:
    return reviewed(database, client, new_id(), rating=4, body="Mine")


def writer_operations(client: FlaskClient) -> list[tuple[str, str]]:
    """Methods and paths that change one review."""
    found = []
    for rule in client.application.url_map.iter_rules():
        if rule.rule.startswith("/api/v1/reviews/<uuid:id>") and not rule.rule.endswith(NOT_OF_THE_WRITER):
            found += [(method, rule.rule) for method in (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}]
    return found


def test_somebody_elses_review_cannot_be_changed(client: FlaskClient, review: dict[str, Any]) -> None:
    for stranger in (bearer(), bearer(scopes=("reviews:write",)), bearer(role=None, scopes=("reviews:write",))):
        for method, path in writer_operations(client):
            url = path.replace("<uuid:id>", review["id"])
            headers = stranger | {"If-Match": review["etag"]}
            answer = client.open(url, method=method, json={"rating": 1}, headers=headers)
            assert answer.status_code == 403, f"{method} {path}: {answer.status_code}"
    unchanged = client.get(f"/api/v1/reviews/{review['id']}").json
    assert (unchanged["rating"], unchanged["body"]) == (4, "Mine")


def test_the_staff_may_take_a_review_away_but_not_rewrite_it(client: FlaskClient, review: dict[str, Any]) -> None:
    url, staff = f"/api/v1/reviews/{review['id']}", bearer(role="admin")
    for method in ("PUT", "PATCH"):
        assert client.open(url, method=method, json={"rating": 1}, headers=staff).status_code == 403
    assert client.delete(url, headers=staff).status_code == 204


def test_a_review_is_its_senders_whatever_the_body_says(database: Database, client: FlaskClient) -> None:
    sender, other, book = new_id(), new_id(), new_id()
    buy(database, other, book)
    buy(database, sender, book)
    told = post(client, book, user=sender, user_id=str(other), username="sender")
    assert told.status_code == 422 or told.json["username"] == "sender"
    assert post(client, book, user=other).status_code == 201


def test_a_vote_is_its_senders_and_only_they_take_it_back(client: FlaskClient, review: dict[str, Any]) -> None:
    url, voter = f"/api/v1/reviews/{review['id']}/helpful", bearer()
    assert client.post(url, headers=voter).json["helpful_count"] == 1
    client.delete(url, headers=bearer())
    client.delete(url, headers=review["headers"])
    assert client.get(f"/api/v1/reviews/{review['id']}").json["helpful_count"] == 1
    client.delete(url, headers=voter)
    assert client.get(f"/api/v1/reviews/{review['id']}").json["helpful_count"] == 0
