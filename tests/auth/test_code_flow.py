"""From the sign-in page to tokens, and back again."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import jwt
from flask import Flask
from flask.testing import FlaskClient

from common.auth import StaticKeys, TokenVerifier
from tests.auth.support import CALLBACK, ISSUER, Browser, Pkce, authorization, query


def test_a_person_signs_in_and_the_client_gets_tokens(browser: Browser, public_client: str) -> None:
    pkce = Pkce()
    asked = browser.authorize(**authorization(public_client, pkce))
    assert asked.status_code == 303
    assert urlsplit(asked.location).path == "/account/sign-in"
    signed_in = browser.sign_in(asked)
    assert signed_in.status_code == 303
    back = browser.http.get(signed_in.location)
    assert back.status_code == 303
    assert back.location.startswith(f"{CALLBACK}?")
    returned = query(back.location)
    assert (returned["state"], returned["iss"]) == ("the-state", ISSUER)
    answer = browser.redeem(returned["code"], public_client, pkce)
    assert answer.status_code == 200, answer.json
    assert answer.headers["Cache-Control"] == "no-store"
    tokens = answer.json
    members = {
        "access_token",
        "id_token",
        "refresh_token",
        "refresh_token_expires_in",
        "token_type",
        "expires_in",
        "scope",
    }
    assert set(tokens) == members | {"refresh_token_expires_in"}
    assert tokens["token_type"] == "Bearer"
    assert tokens["scope"] == "openid profile email orders:read"


def test_the_access_token_is_what_every_service_expects(
    browser: Browser, public_client: str, client: FlaskClient
) -> None:
    tokens = browser.tokens(public_client)
    keys = StaticKeys(client.get("/.well-known/jwks.json").json)
    verifier = TokenVerifier(issuer=ISSUER, audience="bookstore-api", keys=keys)
    bearer = verifier.verify(tokens["access_token"])
    assert bearer.subject == browser.person["id"]
    assert (bearer.role, bearer.username, bearer.client_id) == ("customer", "reader", public_client)
    assert bearer.session_id
    assert jwt.get_unverified_header(tokens["access_token"])["typ"] == "at+jwt"


def test_the_id_token_is_for_the_client(browser: Browser, public_client: str, client: FlaskClient) -> None:
    tokens = browser.tokens(public_client)
    keys = StaticKeys(client.get("/.well-known/jwks.json").json)
    kid = jwt.get_unverified_header(tokens["id_token"])["kid"]
    claims = jwt.decode(tokens["id_token"], keys.find(kid), ["ES256"], audience=public_client, issuer=ISSUER)
    assert claims["nonce"] == "the-nonce"
    assert claims["sub"] == browser.person["id"]
    assert claims["auth_time"] <= claims["iat"]
    assert {"at_hash", "sid", "exp"} <= claims.keys()


def test_userinfo_tells_what_the_scope_allows(browser: Browser, public_client: str, app: Flask) -> None:
    def userinfo(scope: str) -> Any:
        token = browser.tokens(public_client, scope=scope)["access_token"]
        return app.test_client().get("/userinfo", headers={"Authorization": f"Bearer {token}"})

    assert userinfo("openid").json == {"sub": browser.person["id"]}
    everything = userinfo("openid profile email").json
    assert (everything["preferred_username"], everything["email"]) == ("reader", "reader@example.com")
    assert userinfo("orders:read").status_code == 403


def test_somebody_signed_in_is_not_asked_again(browser: Browser, public_client: str) -> None:
    browser.tokens(public_client)
    again = browser.authorize(**authorization(public_client, Pkce()))
    assert "code" in query(again.location)
