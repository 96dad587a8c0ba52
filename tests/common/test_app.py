"""The frame around every view: one transaction, one shape of error, parsed input, declared access."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from traceback import format_exception
from typing import Any

import pytest
from flask import Blueprint
from flask.testing import FlaskClient
from pydantic import Field
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from common import outbox
from common.api import Money, PageQuery, Request, Response, accepts, parse_body, returns
from common.app import service_app
from common.assurance import ONE_FACTOR, TWO_FACTORS
from common.auth import current_user, principal, public, requires, requires_user
from common.conditional import etag, not_modified, require_match
from common.db import Database, session, transaction
from common.errors import Conflict, Unauthorized
from common.pagination import Sort, paginate
from tests.common.toy import Noted, ToyConfig, effect
from tests.support import tokens
from tests.support.database import empty
from tests.support.tokens import bearer

api = Blueprint("toys", __name__)


# [] · a word for a number · null · no JSON · an object · a number that no column holds
FOREIGN_CURSORS = [
    "W10",
    "WyItbnVtYmVyLHBvc2l0aW9uIiwieCIsMV0",
    "bnVsbA",
    "4pyT",
    "W3t9XQ",
    "WyItbnVtYmVyLHBvc2l0aW9uIiwxZTIwLDFd",
]


class NoteIn(Request):
    subject: str = Field(min_length=1, max_length=20)
    number: int = Field(ge=0, le=1000)
    price: Money = Decimal("1.00")


class Shelf(Request):
    notes: list[NoteIn]


class NoteOut(Response):
    subject: str
    price: Money


class Search(PageQuery):
    tag: list[str] = []


class Taken(Conflict):
    code = "taken"


class Remembered(Unauthorized):
    keeps_changes = True


def write(number: int = 1) -> None:
    session.execute(insert(effect).values(subject="s", number=number))


@api.post("/notes")
@public
@accepts(body=NoteIn)
@returns(NoteOut, status=201)
def post_note(body: NoteIn) -> Any:
    session.execute(insert(effect).values(subject=body.subject, number=body.number))
    outbox.record(session, Noted(subject=body.subject, number=body.number))
    return {"subject": body.subject, "price": body.price}


@api.get("/notes")
@public
@accepts(query=Search)
def list_notes(query: Search) -> Any:
    by = [Sort(effect.c.number, "number", descending=True), Sort(effect.c.position, "position")]
    return paginate(session, select(effect.c.number), by=by, query=query, row=lambda row: row.number)


@api.post("/shelf")
@public
def post_shelf() -> Any:
    return {"notes": len(parse_body(Shelf).notes)}


@api.get("/kept")
@public
def keep() -> Any:
    return {}, 200, {"Cache-Control": "public, max-age=5"}


@api.post("/refused")
@public
def refuse() -> Any:
    write()
    raise Taken("It is taken.", holder="somebody")


@api.post("/remembered")
@public
def remember() -> Any:
    write()
    raise Remembered


@api.post("/broken")
@public
def fail() -> Any:
    write()
    raise RuntimeError("secret inner detail")


@api.post("/unreachable")
@public
def lose_database() -> Any:
    raise OperationalError("SELECT 1", {}, Exception("connection refused"))


@api.post("/deadlocked")
@public
def lose_a_deadlock() -> Any:
    session.execute(text("DO $$ BEGIN RAISE EXCEPTION 'deadlock' USING ERRCODE = 'deadlock_detected'; END $$"))


@api.post("/aside")
@public
def write_aside() -> Any:
    with transaction() as own:
        own.execute(insert(effect).values(subject="own", number=1))
    raise Taken


@api.get("/mine")
@requires_user("orders:read")
def mine() -> Any:
    return {"user": current_user().user_id}


@api.get("/service")
@requires("replicas:read")
def for_services() -> Any:
    return {"client": current_user().client_id}


@api.get("/who")
@public
def who() -> Any:
    return {"known": principal() is not None}


@api.route("/versioned", methods=["GET", "PUT"])
@public
def versioned() -> Any:
    require_match(3)
    return ("", 304) if not_modified(3) else ({}, 200, {"ETag": etag(3)})


@pytest.fixture
def client(config: ToyConfig, database: Database) -> Iterator[FlaskClient]:
    yield service_app(config, [api], keys=tokens.keys).test_client()
    empty(database)


def written(database: Database) -> int:
    with database.read() as reader:
        return reader.scalar(select(func.count()).select_from(effect)) or 0


def test_what_a_view_did_is_committed_with_its_event(client: FlaskClient, database: Database) -> None:
    answer = client.post("/notes", json={"subject": " a ", "number": 1, "price": "12.9"})
    assert (answer.status_code, answer.json) == (201, {"subject": "a", "price": "12.90"})
    with database.read() as reader:
        assert outbox.lag(reader)[0] == written(database) == 1


@pytest.mark.parametrize(
    ("path", "status", "code", "kept"),
    [
        ("/refused", 409, "taken", 0),
        ("/broken", 500, "internal_error", 0),
        ("/remembered", 401, "unauthorized", 1),
        ("/aside", 409, "taken", 1),
        ("/unreachable", 503, "unavailable", 0),
    ],
)
def test_a_refusal_undoes_what_was_done_unless_it_must_be_remembered(
    client: FlaskClient, database: Database, path: str, status: int, code: str, kept: int
) -> None:
    answer = client.post(path)
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert answer.json["code"] == code
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]
    assert "secret" not in answer.text
    assert written(database) == kept


def test_unavailable_says_when_to_come_back(client: FlaskClient) -> None:
    assert int(client.post("/unreachable").headers["Retry-After"]) > 0


def test_a_database_that_others_are_at_is_busy_and_not_away(client: FlaskClient) -> None:
    answer = client.post("/deadlocked")
    assert (answer.status_code, answer.json["detail"]) == (503, "The database is busy; try again.")
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("body", "headers", "status", "fields"),
    [
        ("{", {"Content-Type": "application/json"}, 400, []),
        ("subject=a", {"Content-Type": "application/x-www-form-urlencoded"}, 415, []),
        ('{"subject": "", "number": 5000}', {"Content-Type": "application/json"}, 422, ["subject", "number"]),
        ('{"subject": "a", "number": 1, "stock": 3}', {"Content-Type": "application/json"}, 422, ["stock"]),
        ('{"subject": "a", "number": 1, "price": "1e12"}', {"Content-Type": "application/json"}, 422, ["price"]),
        ('{"subject": "a", "number": 1, "price": "NaN"}', {"Content-Type": "application/json"}, 422, ["price"]),
        ('{"subject": "a", "number": 1, "price": "1.999"}', {"Content-Type": "application/json"}, 422, ["price"]),
        ('{"subject": "a", "number": 1, "price": "-1"}', {"Content-Type": "application/json"}, 422, ["price"]),
        ('{"subject": "a\\u0000", "number": 1}', {"Content-Type": "application/json"}, 422, [""]),
        ("[1]", {"Content-Type": "application/json"}, 422, [""]),
        ("null", {"Content-Type": "application/json"}, 422, [""]),
        ("[" * 30 + "]" * 30, {"Content-Type": "application/json"}, 422, [""]),
        ("[" * 40 + "]" * 40, {"Content-Type": "application/json"}, 400, []),
        ("[" * 1020 + "]" * 1020, {"Content-Type": "application/json"}, 400, []),
        ("[" + "1," * 30_000 + "1]", {"Content-Type": "application/json"}, 400, []),
        ('{"subject": "%s"}' % ("x" * 300_000), {"Content-Type": "application/json"}, 413, []),
        ("[" * 9999 + "]" * 9999, {"Content-Type": "application/json"}, 400, []),
    ],
)
def test_a_bad_body_is_named_field_by_field(
    client: FlaskClient, database: Database, body: str, headers: dict[str, str], status: int, fields: list[str]
) -> None:
    answer = client.post("/notes", data=body, headers=headers)
    assert answer.status_code == status
    assert [error["field"] for error in answer.json.get("errors", [])] == fields
    assert written(database) == 0


@pytest.mark.parametrize("document", ["members", "members of members"])
def test_an_answer_does_not_grow_with_what_is_wrong(client: FlaskClient, document: str) -> None:
    members = b",".join(b'"k%d":1' % number for number in range(18_000))
    unknown = b"{%b}" % members
    body = unknown if document == "members" else b'{"notes":[%b]}' % b",".join([b'{"x":1}'] * 9_000)
    answer = client.post("/notes" if document == "members" else "/shelf", data=body, content_type="application/json")
    assert (answer.status_code, len(answer.json["errors"])) == (422, 100)
    assert len(answer.data) < 20_000


def test_an_answer_is_nobodys_to_keep_unless_it_says_so(client: FlaskClient) -> None:
    assert client.get("/notes").headers["Cache-Control"] == "no-store"
    assert client.get("/kept").headers["Cache-Control"] == "public, max-age=5"


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=1&limit=2", "limit=x", "page=2", "cursor=%00", "cursor=x"]
)
def test_a_bad_query_is_refused(client: FlaskClient, query: str) -> None:
    answer = client.get(f"/notes?{query}")
    assert answer.status_code == 422
    assert answer.json["errors"][0]["field"] in ("limit", "page", "cursor", "")


def test_a_list_is_walked_by_its_cursors_without_gap_or_repeat(client: FlaskClient, database: Database) -> None:
    with database.transaction() as own:
        own.execute(insert(effect), [{"subject": "s", "number": n // 3} for n in range(25)])
    seen, cursor, first = [], "", client.get("/notes?limit=7&total=true").json
    assert first["total"] == 25
    while cursor is not None:
        page = client.get(f"/notes?limit=7&cursor={cursor}" if cursor else "/notes?limit=7").json
        seen += page["items"]
        cursor = page["next_cursor"]
    assert seen == sorted((n // 3 for n in range(25)), reverse=True)


@pytest.mark.parametrize("cursor", FOREIGN_CURSORS)
def test_a_cursor_that_is_not_ours_is_refused(client: FlaskClient, cursor: str) -> None:
    assert client.get(f"/notes?cursor={cursor}").status_code == 422


def test_a_route_asks_for_its_scopes(client: FlaskClient) -> None:
    assert client.get("/mine").status_code == 401
    assert client.get("/mine").headers["WWW-Authenticate"].startswith("Bearer")
    assert client.get("/mine", headers=bearer()).status_code == 200
    refused = client.get("/mine", headers=bearer(scopes=[]))
    assert refused.status_code == 403
    assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]
    assert client.get("/mine", headers=bearer(role=None, subject="x", scopes=["orders:read"])).status_code == 403
    assert client.get("/service", headers=bearer(role=None, subject="x", scopes=["replicas:read"])).status_code == 200


def test_scopes_that_need_a_second_factor_are_challenged_for_it(config: ToyConfig, database: Database) -> None:
    careful = service_app(
        replace(config, step_up_scopes=frozenset({"orders:read"})), [api], keys=tokens.keys
    ).test_client()
    refused = careful.get("/mine", headers=bearer(acr=ONE_FACTOR))
    assert (refused.status_code, refused.json["code"]) == (401, "second_factor_required")
    challenge = refused.headers["WWW-Authenticate"]
    assert f'error="insufficient_user_authentication", acr_values="{TWO_FACTORS}"' in challenge
    assert careful.get("/mine", headers=bearer()).status_code == 401
    assert careful.get("/mine", headers=bearer(acr=TWO_FACTORS)).status_code == 200
    assert careful.get("/service", headers=bearer(role=None, subject="x", scopes=["replicas:read"])).status_code == 200


def test_a_public_route_still_refuses_a_bad_token(client: FlaskClient) -> None:
    assert client.get("/who").json == {"known": False}
    assert client.get("/who", headers=bearer()).json == {"known": True}
    assert client.get("/who", headers={"Authorization": "Bearer x"}).status_code == 401


def test_a_route_that_declares_no_access_does_not_start(config: ToyConfig) -> None:
    silent = Blueprint("silent", __name__)

    @silent.get("/silent")
    def say_nothing() -> Any:
        return {}

    with pytest.raises(RuntimeError, match="/silent"):
        service_app(config, [silent], keys=tokens.keys)


def test_conditional_requests_are_honoured(client: FlaskClient) -> None:
    assert client.put("/versioned", headers={"If-Match": '"2"'}).status_code == 412
    for current in ('"3"', '"3.of-a-vote"', '"2", "3"'):
        assert client.put("/versioned", headers={"If-Match": current}).status_code == 200
    assert client.put("/versioned", headers={"If-Match": "*"}).status_code == 200
    assert client.get("/versioned", headers={"If-None-Match": 'W/"3"'}).status_code == 304


@pytest.mark.parametrize(("path", "method", "status"), [("/nowhere", "GET", 404), ("/notes", "PATCH", 405)])
def test_what_flask_refuses_has_the_same_shape(client: FlaskClient, path: str, method: str, status: int) -> None:
    answer = client.open(path, method=method)
    assert answer.status_code == answer.json["status"] == status
    assert answer.content_type == "application/problem+json"


def test_the_callers_identifiers_are_kept_when_harmless(client: FlaskClient) -> None:
    assert client.get("/who", headers={"X-Request-ID": "abc-1"}).headers["X-Request-ID"] == "abc-1"
    made = client.get("/who", headers={"X-Request-ID": "a b<script>"}).headers["X-Request-ID"]
    assert re.fullmatch(r"[0-9a-f-]{36}", made)


def test_health_asks_the_database_and_not_more(client: FlaskClient) -> None:
    assert client.get("/livez").status_code == client.get("/readyz").status_code == 200
    assert b"http_request_duration_seconds" in client.get("/metrics").data


def test_readiness_fails_without_the_database(config: ToyConfig) -> None:
    from dataclasses import replace

    nowhere = replace(config, database_url="postgresql://nobody@127.0.0.1:1/none")
    answer = service_app(nowhere, [api], keys=tokens.keys).test_client().get("/readyz")
    assert answer.status_code == 503
    assert "127.0.0.1" not in answer.text


def test_the_api_describes_itself(client: FlaskClient) -> None:
    document = client.get("/openapi.json").json
    post = document["paths"]["/notes"]["post"]
    assert post["responses"]["201"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/NoteOut"}
    assert document["components"]["schemas"]["NoteIn"]["required"] == ["subject", "number"]
    assert document["paths"]["/mine"]["get"]["security"] == [{"bearer": ["orders:read"]}, {"dpop": ["orders:read"]}]
    assert "/livez" not in document["paths"]


def test_sessions_see_only_their_schema(database: Database) -> None:
    with database.read() as reader:
        assert reader.scalar(text("SELECT current_schema()")) == "toy"


def test_errors_of_the_database_tell_no_values(database: Database) -> None:
    with database.transaction() as session:
        session.execute(text("CREATE TABLE people (email text UNIQUE, age int CHECK (age > 0))"))
    told = []
    for address, age in (("ada@example.com", 1), ("ada@example.com", 2), ("bob@example.com", -1)):
        try:
            with database.transaction() as session:
                session.execute(text("INSERT INTO people VALUES (:address, :age)"), {"address": address, "age": age})
        except IntegrityError as error:
            told.append("".join(format_exception(error)))
    assert [("unique constraint" in each, "check constraint" in each) for each in told] == [
        (True, False),
        (False, True),
    ]
    assert not any("example.com" in each for each in told)
