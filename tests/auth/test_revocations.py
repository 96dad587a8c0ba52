"""What auth tells the verifiers: a row for everything that ends, in the transaction that ends it, and none missed."""

from __future__ import annotations

import threading
import time
from typing import Any

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from auth_service.domain import clients, revocations
from auth_service.models import Revocation
from common.db import Database
from common.revocation import Revocations
from tests.auth.support import ISSUER, Browser, register_client
from tests.auth.test_token_exchange import exchange
from tests.support.waiting import eventually

PATH = "/internal/revocations"


@pytest.fixture
def gateway(client: FlaskClient, database: Database) -> dict[str, str]:
    """The header of a request of the gateway's."""
    metadata = clients.Metadata(client_name="g", grant_types=["client_credentials"], scope="replicas:read")
    with database.transaction() as session:
        made, secret = clients.create(session, metadata, own_origin=ISSUER)
        client_id = made.client_id
    answer = client.post("/token", data={"grant_type": "client_credentials"}, auth=(client_id, secret or ""))
    return {"Authorization": f"Bearer {answer.json['access_token']}"}


@pytest.fixture
def told(client: FlaskClient, gateway: dict[str, str]) -> Any:
    """What is new since it was last asked."""
    place = client.get(PATH, headers=gateway).json["next"]

    def ask() -> set[tuple[str, str]]:
        answer = client.get(f"{PATH}?after={place}", headers=gateway)
        assert answer.status_code == 200, answer.json
        return {(each["kind"], each["id"]) for each in answer.json["items"]}

    return ask


MACHINE = {
    "grant_types": [clients.TOKEN_EXCHANGE, "client_credentials"],
    "scope": "orders:read replicas:read",
    "redirect_uris": [],
}


@pytest.fixture
def machine(app: Flask, database: Database) -> tuple[str, str]:
    return register_client(database, **MACHINE)


def machine_token(client: FlaskClient, machine: tuple[str, str]) -> str:
    answer = client.post("/token", data={"grant_type": "client_credentials"}, auth=machine)
    return str(answer.json["access_token"])


def introspected(client: FlaskClient, caller: tuple[str, str], token: str) -> bool:
    """Whether it is active."""
    return bool(client.post("/introspect", data={"token": token}, auth=caller).json["active"])


def claims_of(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def test_only_the_stores_own_parts_may_ask(client: FlaskClient, admin: dict[str, str]) -> None:
    assert client.get(PATH).status_code == 401
    assert client.get(PATH, headers=admin).status_code == 403


def test_signing_out_is_told(client: FlaskClient, user: Any, sign_in: Any, told: Any) -> None:
    token = sign_in(user)["access_token"]
    assert told() == set()
    client.post("/api/v1/auth/logout", headers={"Authorization": f"Bearer {token}"})
    content = claims_of(token)
    assert told() == {("session", content["sid"]), ("family", content["fid"])}


def test_erasing_is_told(client: FlaskClient, user: Any, sign_in: Any, told: Any) -> None:
    token = sign_in(user)["access_token"]
    client.delete("/api/v1/users/me", headers={"Authorization": f"Bearer {token}"})
    assert ("subject", user["id"]) in told()


def test_a_refresh_token_that_is_used_again_is_told_although_the_request_fails(
    browser: Browser, database: Database, public_client: str, told: Any
) -> None:
    first = browser.tokens(public_client)
    second = browser.refresh(first["refresh_token"], public_client).json
    assert browser.refresh(second["refresh_token"], public_client).status_code == 200  # its answer had arrived
    with database.transaction() as session:
        session.execute(text("UPDATE refresh_tokens SET used_at = used_at - interval '1 hour'"))
    assert browser.refresh(first["refresh_token"], public_client).status_code == 400
    assert told() == {("family", claims_of(second["access_token"])["fid"])}


def test_a_revoked_token_and_a_deleted_client_are_told(
    client: FlaskClient, admin: dict[str, str], browser: Browser, database: Database, public_client: str, told: Any
) -> None:
    other = register_client(database, token_endpoint_auth_method="none", trusted=True)[0]
    revoked, of_client = browser.tokens(other), browser.tokens(public_client)
    form = {"token": revoked["access_token"], "client_id": other}
    assert client.post("/revoke", data=form).status_code == 200
    client.delete(f"/api/v1/admin/clients/{public_client}", headers=admin)
    families = {("family", claims_of(each["access_token"])["fid"]) for each in (revoked, of_client)}
    assert told() == families | {("subject", public_client), ("client", public_client)}


def test_a_machines_token_is_revoked_by_itself(
    client: FlaskClient, machine: tuple[str, str], told: Any, database: Database
) -> None:
    first, second = (machine_token(client, machine) for _ in range(2))
    for _ in range(3):
        assert client.post("/revoke", data={"token": first}, auth=machine).status_code == 200
    assert told() == {("token", claims_of(first)["jti"])}
    with database.read() as session:
        assert session.query(Revocation).filter_by(kind="token").count() == 1
    assert [introspected(client, machine, each) for each in (first, second)] == [False, True]


def test_a_revoked_machines_token_is_refused_within_a_second(client: FlaskClient, machine: tuple[str, str]) -> None:
    token = machine_token(client, machine)
    header = {"Authorization": f"Bearer {token}"}
    assert client.get(PATH, headers=header).status_code == 200
    client.post("/revoke", data={"token": token}, auth=machine)
    eventually(lambda: client.get(PATH, headers=header).status_code == 401, within=1)
    again = {"Authorization": f"Bearer {machine_token(client, machine)}"}
    assert client.get(PATH, headers=again).status_code == 200


def test_an_exchanged_token_is_its_own_clients_to_revoke(
    browser: Browser, machine: tuple[str, str], public_client: str, told: Any
) -> None:
    subject = browser.tokens(public_client)["access_token"]
    acting = exchange(browser.http, machine, subject).json["access_token"]
    foreign = browser.http.post("/revoke", data={"token": acting, "client_id": public_client})
    assert (foreign.status_code, foreign.json["error"]) == (400, "invalid_grant")
    assert introspected(browser.http, machine, acting)
    assert browser.http.post("/revoke", data={"token": acting}, auth=machine).status_code == 200
    assert told() == {("token", claims_of(acting)["jti"])}
    assert [introspected(browser.http, machine, each) for each in (acting, subject)] == [False, True]
    assert exchange(browser.http, machine, acting).json["error"] == "invalid_request"


def test_what_a_client_got_by_exchange_ends_with_the_client(
    browser: Browser, machine: tuple[str, str], database: Database, admin: dict[str, str], public_client: str, told: Any
) -> None:
    other = register_client(database, **MACHINE)
    subject = browser.tokens(public_client)["access_token"]
    acting = exchange(browser.http, machine, subject).json["access_token"]
    browser.http.delete(f"/api/v1/admin/clients/{machine[0]}", headers=admin)
    assert ("client", machine[0]) in told()
    assert [introspected(browser.http, other, each) for each in (acting, subject)] == [False, True]


def test_what_is_rolled_back_is_not_told(database: Database, user: Any, sign_in: Any, told: Any) -> None:
    sign_in(user)
    with database.session() as session:
        session.execute(text("UPDATE sessions SET ended_at = now()"))
        session.rollback()
    assert told() == set()


def test_what_commits_late_is_not_missed(database: Database, user: Any, sign_in: Any) -> None:
    sign_in(user)
    with database.session() as late:
        late.execute(text("UPDATE sessions SET ended_at = now()"))
        with database.transaction() as quick:
            quick.execute(text("UPDATE users SET is_active = false"))
        with database.read() as reading:
            first = revocations.since(reading, 0)
        late.commit()
    with database.read() as reading:
        second = revocations.since(reading, first["next"])
    assert [each["kind"] for each in first["items"]] == ["subject"]
    assert "session" in {each["kind"] for each in second["items"]}


def test_a_place_that_is_ahead_of_a_restored_database_counts_as_none(
    database: Database, user: Any, sign_in: Any
) -> None:
    sign_in(user)
    with database.transaction() as session:
        session.execute(text("UPDATE sessions SET ended_at = now()"))
    with database.read() as reading:
        assert revocations.since(reading, 2**62)["items"]


def test_what_no_token_can_be_older_than_is_pruned(database: Database, user: Any, sign_in: Any) -> None:
    sign_in(user)
    with database.transaction() as session:
        session.execute(text("UPDATE sessions SET ended_at = now()"))
        session.execute(text("UPDATE revocations SET at = at - interval '2 hours'"))
        revocations.prune(session)
    with database.read() as reading:
        assert revocations.since(reading, 0)["items"] == []


def test_what_was_got_for_a_token_ends_with_it_all_the_way_down(
    browser: Browser, machine: tuple[str, str], database: Database, public_client: str
) -> None:
    other = register_client(database, **MACHINE)
    subject = browser.tokens(public_client)["access_token"]
    acting = exchange(browser.http, machine, subject).json["access_token"]
    further = exchange(browser.http, other, acting).json["access_token"]
    assert introspected(browser.http, other, further)
    assert browser.http.post("/revoke", data={"token": acting}, auth=machine).status_code == 200
    assert [introspected(browser.http, other, each) for each in (further, acting, subject)] == [False, False, True]
    feed = {"items": [{"kind": "token", "id": claims_of(acting)["jti"], "at": time.time()}], "next": 1}
    known = Revocations(lambda *_: feed)
    assert known.refuse(claims_of(further))
    assert not known.refuse(claims_of(subject))


def test_who_waits_is_told_at_once_and_who_has_heard_it_is_not_told_again(
    app: Flask, database: Database, make_user: Any, sign_in: Any
) -> None:
    news = app.extensions["revocation_news"]
    tokens = sign_in(make_user())
    place = news.since(0, 0, 0)
    timer = threading.Timer(
        0.2,
        lambda: app.test_client().post(
            "/api/v1/auth/logout", headers={"Authorization": f"Bearer {tokens['access_token']}"}
        ),
    )
    try:
        timer.start()
        began = time.monotonic()
        answer = news.since(place["next"], place["again"], 20)
        assert {each["kind"] for each in answer["items"]} >= {"session"}
        assert time.monotonic() - began < 5
        began = time.monotonic()
        with database.transaction() as held:  # while it goes on, rows are told again
            held.execute(text("SELECT pg_current_xact_id()"))
            repeated = news.since(answer["next"], 0, 0)
            quiet = news.since(answer["next"], len(repeated["items"]), 1)
        assert quiet["items"] == repeated["items"]
        assert time.monotonic() - began >= 1
    finally:
        timer.join()
        news.close()
