"""/introspect (RFC 7662)."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from flask import Flask
from sqlalchemy import update

from auth_service.models import User
from common.db import Database
from tests.auth.support import ISSUER, Browser, Pkce, authorization, register_client

MACHINE = {"grant_types": ["client_credentials"], "scope": "replicas:read", "redirect_uris": []}


@pytest.fixture
def server(app: Flask, database: Database) -> tuple[str, str]:
    """A resource server."""
    return register_client(database, **MACHINE)


def told(browser: Browser, caller: tuple[str, str], token: str, **form: Any) -> dict[str, Any]:
    answer = browser.http.post("/introspect", data={"token": token} | form, auth=caller)
    assert answer.status_code == 200, answer.json
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.json


def test_an_access_token_is_described(browser: Browser, public_client: str, server: tuple[str, str]) -> None:
    token = browser.tokens(public_client)["access_token"]
    answer = told(browser, server, token, token_type_hint="refresh_token")
    assert answer["active"] is True
    assert (answer["client_id"], answer["username"], answer["sub"]) == (public_client, "reader", browser.person["id"])
    assert (answer["iss"], answer["aud"], answer["token_type"]) == (ISSUER, "bookstore-api", "Bearer")
    assert answer["scope"] == "openid profile email orders:read"
    assert {"exp", "iat", "jti", "auth_time", "acr"} <= answer.keys()


def test_a_machines_token_is_described(browser: Browser, server: tuple[str, str]) -> None:
    own = browser.http.post("/token", data={"grant_type": "client_credentials"}, auth=server).json["access_token"]
    answer = told(browser, server, own)
    assert (answer["active"], answer["sub"]) == (True, server[0])
    assert "username" not in answer


def test_a_refresh_token_is_told_of_to_its_client_only(
    browser: Browser, database: Database, server: tuple[str, str]
) -> None:
    client = register_client(database, trusted=True)
    pkce = Pkce()
    code = browser.code_for(**authorization(client[0], pkce))["code"]
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": pkce.verifier}
    form["redirect_uri"] = authorization(client[0], pkce)["redirect_uri"]
    token = browser.http.post("/token", data=form, auth=client).json["refresh_token"]
    answer = told(browser, client, token)
    assert (answer["active"], answer["client_id"], answer["sub"]) == (True, client[0], browser.person["id"])
    assert told(browser, server, token) == {"active": False}
    browser.http.post("/token", data={"grant_type": "refresh_token", "refresh_token": token}, auth=client)
    assert told(browser, client, token) == {"active": False}


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "é", "x" * 5000, "eyJhbGciOiJub25lIn0.e30."])
def test_what_is_no_token_of_ours(browser: Browser, server: tuple[str, str], token: str) -> None:
    assert told(browser, server, token) == {"active": False}


def test_an_id_token_is_no_access_token(browser: Browser, public_client: str, server: tuple[str, str]) -> None:
    assert told(browser, server, browser.tokens(public_client)["id_token"]) == {"active": False}


@pytest.mark.parametrize("end", ["revoke", "logout", "deactivate"])
def test_an_ended_token_is_not_active(
    browser: Browser, public_client: str, server: tuple[str, str], database: Database, end: str
) -> None:
    tokens = browser.tokens(public_client)
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    if end == "revoke":
        browser.http.post("/revoke", data={"token": tokens["refresh_token"], "client_id": public_client})
    elif end == "logout":
        browser.http.post("/api/v1/auth/logout", headers=header)
    else:
        with database.transaction() as session:
            session.execute(update(User).values(is_active=False))
    assert told(browser, server, tokens["access_token"]) == {"active": False}


def test_a_deleted_clients_token_is_not_active(
    browser: Browser, server: tuple[str, str], admin: dict[str, str], database: Database
) -> None:
    gone = register_client(database, **MACHINE)
    token = browser.http.post("/token", data={"grant_type": "client_credentials"}, auth=gone).json["access_token"]
    assert browser.http.delete(f"/api/v1/admin/clients/{gone[0]}", headers=admin).status_code == 204
    assert told(browser, server, token) == {"active": False}


def test_callers_authenticate(browser: Browser, public_client: str, server: tuple[str, str]) -> None:
    token = browser.tokens(public_client)["access_token"]
    for form, auth in (
        ({"token": token}, None),
        ({"token": token, "client_id": public_client}, None),
        ({"token": token}, (server[0], "wrong")),
        ({"token": token}, ("nobody", "x")),
    ):
        answer = browser.http.post("/introspect", data=form, auth=auth)
        assert (answer.status_code, answer.json["error"]) == (401, "invalid_client")
    bearer = browser.http.post("/introspect", data={"token": token}, headers={"Authorization": f"Bearer {token}"})
    assert bearer.status_code == 401
    assert browser.http.post("/introspect", data={}, auth=server).json["error"] == "invalid_request"
    assert browser.http.get("/introspect").status_code == 405


def test_a_name_is_told_with_profile_only(browser: Browser, public_client: str, server: tuple[str, str]) -> None:
    token = browser.tokens(public_client, scope="openid orders:read")["access_token"]
    assert "preferred_username" not in jwt.decode(token, options={"verify_signature": False})
    assert "username" not in told(browser, server, token)
