"""What may be kept of an answer by those on the way."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient

from common.caching import OWN, SHARED, shared

app = Flask(__name__)


@app.get("/everybodys")
@shared()
def everybodys() -> dict[str, Any]:
    return {"a": 1}


@app.get("/staff-see-more")
@shared(but_for_tokens=True)
def staff_see_more() -> tuple[dict[str, Any], int, dict[str, str]]:
    return {"a": 1}, 200, {"ETag": '"own"', "Cache-Control": "no-cache"}


@app.get("/not-there")
@shared()
def not_there() -> Response:
    return Response(status=404)


@pytest.fixture
def client() -> FlaskClient:
    return app.test_client()


def test_an_answer_for_everybody_says_so_and_has_a_tag(client: FlaskClient) -> None:
    for headers in ({}, {"Authorization": "Bearer x"}):
        answer = client.get("/everybodys", headers=headers)
        assert answer.headers["Cache-Control"] == SHARED
        again = client.get("/everybodys", headers={"If-None-Match": answer.headers["ETag"]} | headers)
        assert (again.status_code, again.data, again.headers["Cache-Control"]) == (304, b"", SHARED)


def test_one_that_depends_on_the_token_is_ones_own(client: FlaskClient) -> None:
    plain = client.get("/staff-see-more")
    assert (plain.headers["Cache-Control"], plain.headers["Vary"], plain.headers["ETag"]) == (
        SHARED,
        "Authorization",
        '"own"',
    )
    own = client.get("/staff-see-more", headers={"Authorization": "Bearer x"})
    assert (own.headers["Cache-Control"], own.headers["Vary"]) == (OWN, "Authorization")


def test_a_failure_is_not_made_to_last(client: FlaskClient) -> None:
    assert "Cache-Control" not in client.get("/not-there").headers
