"""What auth tells the verifiers: a row for everything that ends, in the transaction that ends it, and none missed."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from auth_service.domain import clients, revocations
from common.db import Database
from tests.auth.support import ISSUER, Browser, register_client

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
    assert told() == families | {("subject", public_client)}


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
