"""What staff take from a client is gone from what it holds already: tokens, consents, claims by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from auth_service.domain.clients import TOKEN_EXCHANGE
from common.db import Database
from tests.auth.support import CALLBACK, Browser, Pkce, authorization, hidden_fields, query, register_client

PATH = "/api/v1/admin/clients"
SCOPE = "openid profile email orders:read"


@pytest.fixture
def change(browser: Browser, admin: dict[str, str]) -> Any:
    def put(client_id: str, **changes: Any) -> None:
        body = {"client_name": "Lists", "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"}
        answer = browser.http.put(f"{PATH}/{client_id}", json=body | {"scope": SCOPE} | changes, headers=admin)
        assert answer.status_code == 200, answer.json

    return put


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


def asked(browser: Browser, client_id: str, **changes: Any) -> dict[str, Any]:
    """The tokens of a client after all the steps that it takes."""
    pkce = Pkce()
    parameters = authorization(client_id, pkce, **changes)
    answer = browser.authorize(**parameters)
    if "/account/sign-in" in (answer.location or ""):
        answer = browser.http.get(browser.sign_in(answer).location)
    if answer.status_code == 200:
        answer = browser.http.post("/account/consent", data=hidden_fields(answer.text) | {"decision": "allow"})
    tokens = browser.redeem(query(answer.location)["code"], client_id, pkce)
    assert tokens.status_code == 200, tokens.json
    return tokens.json


def test_scope_that_is_taken_is_gone_at_once_and_does_not_come_back(
    browser: Browser, database: Database, change: Any
) -> None:
    client_id, _ = register_client(database, token_endpoint_auth_method="none", scope=SCOPE)
    by_name = json.dumps({"userinfo": {"email": None}})
    held = asked(browser, client_id, scope="openid orders:read", claims=by_name)
    assert browser.http.get("/userinfo", headers=bearer(held)).json["email"] == browser.person["email"]
    change(client_id, scope="openid profile")
    assert browser.http.get("/userinfo", headers=bearer(held)).status_code == 401
    renewed = browser.refresh(held["refresh_token"], client_id).json
    assert renewed["scope"] == "openid"
    assert browser.http.get("/userinfo", headers=bearer(renewed)).json.keys() == {"sub"}
    change(client_id)
    assert browser.refresh(renewed["refresh_token"], client_id).json["scope"] == "openid"
    assert browser.authorize(**authorization(client_id, Pkce(), scope="openid orders:read")).status_code == 200


def test_trust_that_is_taken_leaves_what_the_person_agreed_to(
    browser: Browser, database: Database, change: Any
) -> None:
    never, _ = register_client(database, token_endpoint_auth_method="none", scope=SCOPE, trusted=True)
    partly, _ = register_client(database, token_endpoint_auth_method="none", scope=SCOPE)
    asked(browser, partly, scope="openid")
    change(partly, trusted=True)
    held = {client_id: asked(browser, client_id, scope=SCOPE) for client_id in (never, partly)}
    for client_id, tokens in held.items():
        change(client_id, trusted=False)
        assert browser.http.get("/userinfo", headers=bearer(tokens)).status_code == 401
    assert browser.refresh(held[never]["refresh_token"], never).status_code == 400
    assert browser.refresh(held[partly]["refresh_token"], partly).json["scope"] == "openid"
    assert "Lists" in browser.http.get("/account/apps").text


def test_a_code_that_was_not_redeemed_yet_is_worth_nothing(browser: Browser, database: Database, change: Any) -> None:
    client_id, _ = register_client(database, token_endpoint_auth_method="none", scope=SCOPE, trusted=True)
    pkce = Pkce()
    code = browser.code_for(**authorization(client_id, pkce))["code"]
    change(client_id, trusted=False)
    assert browser.redeem(code, client_id, pkce).json["error"] == "invalid_grant"


def test_what_was_exchanged_for_its_token_is_refused_as_well(browser: Browser, database: Database, change: Any) -> None:
    client_id, _ = register_client(database, token_endpoint_auth_method="none", scope=SCOPE, trusted=True)
    service = register_client(database, grant_types=[TOKEN_EXCHANGE], scope="openid", redirect_uris=[], trusted=True)
    form = {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": asked(browser, client_id)["access_token"],
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
    }
    got = browser.http.post("/token", data=form, auth=service).json
    assert browser.http.get("/userinfo", headers=bearer(got)).status_code == 200
    change(client_id, scope="openid profile orders:read", trusted=True)
    assert browser.http.get("/userinfo", headers=bearer(got)).status_code == 401
