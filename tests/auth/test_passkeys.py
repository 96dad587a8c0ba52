"""Passkeys, with an authenticator in software."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import jwt
import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from auth_service.models import User
from common.db import Database
from tests.auth.authenticator import PRESENT, Authenticator
from tests.auth.letters import subjects
from tests.auth.support import Browser, hidden_fields

API = "/api/v1/auth"
HUGE = {"id": 2**64}


@pytest.fixture
def mine(user: Any, sign_in: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {sign_in(user)['access_token']}"}


def register(client: FlaskClient, mine: dict[str, str], key: Authenticator, ticket: str | None = None) -> Any:
    begun = client.post(f"{API}/mfa/passkeys/options", headers=mine).json
    body = {"ticket": ticket or begun["ticket"], "credential": key.create(begun["options"]), "name": "Phone"}
    return client.post(f"{API}/mfa/passkeys", json=body, headers=mine)


def sign_in_with(client: FlaskClient, key: Authenticator) -> Any:
    begun = client.post(f"{API}/passkey/options").json
    return client.post(f"{API}/passkey", json={"ticket": begun["ticket"], "credential": key.get(begun["options"])})


def by_passkey(client: FlaskClient, key: Authenticator) -> dict[str, str]:
    """The header of a session that has shown the strongest factor."""
    return {"Authorization": f"Bearer {sign_in_with(client, key).json['access_token']}"}


def post_json(client: FlaskClient, path: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
    """With numbers that our own writer of JSON would refuse."""
    return client.post(path, data=json.dumps(body), content_type="application/json", headers=headers)


@pytest.fixture
def key(client: FlaskClient, mine: dict[str, str]) -> Authenticator:
    made = Authenticator()
    assert register(client, mine, made).status_code == 201
    return made


def test_a_passkey_signs_in_as_two_factors(client: FlaskClient, key: Authenticator, database: Database) -> None:
    answer = sign_in_with(client, key)
    assert answer.status_code == 200, answer.json
    claims = jwt.decode(answer.json["access_token"], options={"verify_signature": False})
    assert (claims["amr"], claims["acr"]) == (["pop", "mfa"], "urn:bookstore:acr:2fa")
    assert subjects(database) == ["A passkey was added"]


def test_an_answer_counts_once(client: FlaskClient, key: Authenticator) -> None:
    begun = client.post(f"{API}/passkey/options").json
    body = {"ticket": begun["ticket"], "credential": key.get(begun["options"])}
    assert [client.post(f"{API}/passkey", json=body).status_code for _ in range(2)] == [200, 422]


def test_a_signature_for_another_challenge_is_worth_nothing(client: FlaskClient, key: Authenticator) -> None:
    one, other = (client.post(f"{API}/passkey/options").json for _ in range(2))
    body = {"ticket": one["ticket"], "credential": key.get(other["options"])}
    assert client.post(f"{API}/passkey", json=body).status_code == 422


@pytest.mark.parametrize("change", [{"origin": "https://evil.example"}, {"flags": PRESENT}, {"counter": 0}])
def test_another_site_an_unverified_person_and_a_copied_key_are_refused(
    client: FlaskClient, key: Authenticator, change: dict[str, Any]
) -> None:
    assert sign_in_with(client, key).status_code == 200
    for name, value in change.items():
        setattr(key, name, value)
    assert sign_in_with(client, key).json["code"] == "invalid_passkey"


def test_a_forged_signature_is_refused(client: FlaskClient, key: Authenticator) -> None:
    forger = Authenticator(credential_id=key.credential_id)
    assert sign_in_with(client, forger).status_code == 422


def test_unknown_keys_and_nonsense_are_refused(client: FlaskClient, key: Authenticator) -> None:
    sure = by_passkey(client, key)
    assert sign_in_with(client, Authenticator()).json["code"] == "unknown_passkey"
    for credential in ({}, {"id": 1}, {"id": "é"}, {"id": "AA", "response": None}):
        begun = client.post(f"{API}/passkey/options").json
        answer = client.post(f"{API}/passkey", json={"ticket": begun["ticket"], "credential": credential})
        assert answer.status_code in (401, 422), credential
        begun = client.post(f"{API}/mfa/passkeys/options", headers=sure).json
        body = {"ticket": begun["ticket"], "credential": credential}
        assert client.post(f"{API}/mfa/passkeys", json=body, headers=sure).status_code == 422
    assert post_json(client, f"{API}/passkey", {"ticket": "x", "credential": HUGE}).status_code == 422
    named = {"ticket": "x", "credential": HUGE, "name": "Phone"}
    assert post_json(client, f"{API}/mfa/passkeys", named, sure).status_code == 422
    assert register(client, sure, key).status_code == 422, "registered already"
    assert register(client, sure, Authenticator(), ticket="x").status_code == 422


def test_a_deactivated_person_is_not_let_in(client: FlaskClient, key: Authenticator, database: Database) -> None:
    with database.transaction() as session:
        session.execute(update(User).values(is_active=False))
    assert sign_in_with(client, key).status_code == 401


def test_a_removed_passkey_signs_nobody_in(
    client: FlaskClient, mine: dict[str, str], key: Authenticator, make_user: Any, sign_in: Any
) -> None:
    (held,) = client.get(f"{API}/mfa/passkeys", headers=mine).json["items"]
    stranger = {"Authorization": f"Bearer {sign_in(make_user('other'))['access_token']}"}
    assert client.delete(f"{API}/mfa/passkeys/{held['id']}", headers=stranger).status_code == 404
    refused = client.delete(f"{API}/mfa/passkeys/{held['id']}", headers=mine)
    assert (refused.status_code, refused.json["code"]) == (401, "second_factor_required")
    sure = by_passkey(client, key)
    assert client.delete(f"{API}/mfa/passkeys/{held['id']}", headers=sure).status_code == 204
    assert sign_in_with(client, key).status_code == 401


def test_the_pages_do_the_same(browser: Browser) -> None:
    http, key = browser.http, Authenticator()
    browser.sign_in(http.get("/account/security"))
    page = http.get("/account/security")
    assert "script-src 'self'; connect-src 'self'" in page.headers["Content-Security-Policy"]
    assert http.get("/account/static/passkeys.js").status_code == 200
    fields = hidden_fields(page.text)
    begun = http.post("/account/security/passkeys/options", data=fields).json
    answer = {"ticket": begun["ticket"], "credential": json.dumps(key.create(begun["options"])), "name": "Phone"}
    assert http.post("/account/security/passkeys", data=fields | answer).status_code == 303
    assert "Phone" in http.get("/account/security").text
    http.delete_cookie("sign_in", path="/")
    fields = hidden_fields(http.get("/account/passkey?return_to=/account").text)
    assert http.post("/account/passkey/options").status_code == 403
    begun = http.post("/account/passkey/options", data=fields).json
    answer = {"ticket": begun["ticket"], "credential": json.dumps(key.get(begun["options"]))}
    assert http.post("/account/passkey", data=fields | answer).location == "/account"
    assert http.post("/account/passkey", data=fields | answer).status_code == 403, "the form was for the old sign-in"


def test_a_passkey_is_for_whom_it_was_made(client: FlaskClient, user: Any, key: Authenticator) -> None:
    key.user_handle = UUID(user["id"]).bytes
    assert sign_in_with(client, key).status_code == 200
    key.user_handle = UUID(int=7).bytes
    assert (sign_in_with(client, key).status_code, sign_in_with(client, key).json["code"]) == (422, "invalid_passkey")
