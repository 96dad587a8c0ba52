"""Tokens that are worth nothing without a key: DPoP at /token, /par and wherever tokens are shown (RFC 9449)."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask
from werkzeug.test import TestResponse

from auth_service.domain.clients import TOKEN_EXCHANGE
from auth_service.domain.oauth.exchange import ACCESS_TOKEN
from common.db import Database
from tests.auth.support import CALLBACK, ISSUER, Browser, Pkce, authorization, register_client
from tests.support.proofs import Key

TOKEN = f"{ISSUER}/token"
USERINFO = f"{ISSUER}/userinfo"


def post(browser: Browser, form: dict[str, Any], proof: str | None) -> TestResponse:
    return browser.http.post("/token", data=form, headers={"DPoP": proof} if proof else {})


@pytest.fixture
def nonce(browser: Browser, public_client: str) -> str:
    form = {"grant_type": "refresh_token", "refresh_token": "x", "client_id": public_client}
    answer = post(browser, form, Key().proof("POST", TOKEN))
    assert (answer.status_code, answer.json["error"]) == (400, "use_dpop_nonce")
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.headers["DPoP-Nonce"]


def code_form(browser: Browser, client_id: str, **changes: Any) -> dict[str, Any]:
    pkce = Pkce()
    code = browser.code_for(**authorization(client_id, pkce, **changes))["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "client_id": client_id}
    return form | {"code_verifier": pkce.verifier}


def bound(browser: Browser, client_id: str, key: Key, nonce: str) -> dict[str, Any]:
    """Tokens that are bound to the key."""
    answer = post(browser, code_form(browser, client_id), key.proof("POST", TOKEN, nonce=nonce))
    assert answer.status_code == 200, answer.json
    return answer.json


def test_tokens_are_bound_to_the_key(browser: Browser, public_client: str, nonce: str) -> None:
    key = Key()
    answer = post(browser, code_form(browser, public_client), key.proof("POST", TOKEN, nonce=nonce))
    assert answer.json["token_type"] == "DPoP"
    assert answer.headers["DPoP-Nonce"]
    claims = jwt.decode(answer.json["access_token"], options={"verify_signature": False})
    assert claims["cnf"] == {"jkt": key.jkt}


def test_a_refused_proof_leaves_the_code_usable(browser: Browser, public_client: str) -> None:
    key, form = Key(), code_form(browser, public_client)
    refused = post(browser, form, key.proof("POST", TOKEN))
    again = post(browser, form, key.proof("POST", TOKEN, nonce=refused.headers["DPoP-Nonce"]))
    assert (refused.status_code, again.status_code) == (400, 200)


@pytest.mark.parametrize(
    "spoil",
    [
        {"htm": "GET"},
        {"htm": None},
        {"htu": f"{ISSUER}/par"},
        {"htu": "https://evil.example/token"},
        {"htu": None},
        {"htu": "http://[/token"},
        {"iat": 1},
        {"iat": int(time.time()) + 3600},
        {"iat": None},
        {"iat": "now"},
        {"iat": True},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"jti": "x" * 300},
        {"exp": 1},
        {"header": {"typ": "JWT"}},
        {"header": {"typ": None}},
        {"header": {"jwk": None}},
        {"header": {"jwk": Key().public_jwk}},
        {"header": {"jwk": {"kty": "oct", "k": "c2VjcmV0"}}},
        {"header": {"crit": ["exp"]}},
        {"key": ec.generate_private_key(ec.SECP256R1())},
    ],
)
def test_a_proof_that_does_not_hold(browser: Browser, public_client: str, nonce: str, spoil: dict[str, Any]) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": "x", "client_id": public_client}
    answer = post(browser, form, Key().proof("POST", TOKEN, nonce=nonce, **spoil))
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_dpop_proof")


@pytest.mark.parametrize("proof", ["x", "a.b.c", "", "x" * 9000, "é"])
def test_a_proof_that_is_none(browser: Browser, public_client: str, proof: str) -> None:
    answer = browser.http.post(
        "/token",
        data={"grant_type": "refresh_token", "refresh_token": "x", "client_id": public_client},
        headers={"DPoP": proof},
    )
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_dpop_proof")


def test_a_private_key_in_a_proof_is_refused(browser: Browser, public_client: str, nonce: str) -> None:
    key = Key()
    leaked = key.public_jwk | {"d": "c2VjcmV0"}
    form = {"grant_type": "refresh_token", "refresh_token": "x", "client_id": public_client}
    answer = post(browser, form, key.proof("POST", TOKEN, nonce=nonce, header={"jwk": leaked}))
    assert answer.json["error"] == "invalid_dpop_proof"


def test_unsigned_and_symmetric_proofs_are_refused(browser: Browser, public_client: str, nonce: str) -> None:
    claims = {"htm": "POST", "htu": TOKEN, "iat": int(time.time()), "jti": "1", "nonce": nonce}
    headers = {"typ": "dpop+jwt", "jwk": Key().public_jwk}
    form = {"grant_type": "refresh_token", "refresh_token": "x", "client_id": public_client}
    for secret, algorithm in ((None, "none"), ("s" * 32, "HS256")):
        answer = post(browser, form, jwt.encode(claims, secret, algorithm, headers=headers))
        assert answer.json["error"] == "invalid_dpop_proof"


def test_a_proof_counts_once_even_when_its_request_was_refused(
    browser: Browser, public_client: str, nonce: str
) -> None:
    proof = Key().proof("POST", TOKEN, nonce=nonce)
    form = {"grant_type": "refresh_token", "refresh_token": "x", "client_id": public_client}
    assert post(browser, form, proof).json["error"] == "invalid_grant"
    assert post(browser, form, proof).json["error"] == "invalid_dpop_proof"


@pytest.mark.parametrize("nonce_sent", ["made-up", "é", ""])
def test_a_nonce_of_somebody_else(browser: Browser, public_client: str, nonce_sent: str) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": "x", "client_id": public_client}
    assert post(browser, form, Key().proof("POST", TOKEN, nonce=nonce_sent)).json["error"] == "use_dpop_nonce"


def test_a_bound_token_is_exchanged_for_one_that_is_bound_to_the_exchangers_key(
    browser: Browser, public_client: str, nonce: str, database: Database
) -> None:
    service = register_client(database, grant_types=[TOKEN_EXCHANGE], scope="orders:read", redirect_uris=[])
    form = {"grant_type": TOKEN_EXCHANGE, "subject_token_type": ACCESS_TOKEN}
    form["subject_token"] = bound(browser, public_client, Key(), nonce)["access_token"]
    bare = browser.http.post("/token", data=form, auth=service)
    assert (bare.status_code, bare.json["error"]) == (400, "invalid_dpop_proof")
    own = Key()
    headers = {"DPoP": own.proof("POST", TOKEN, nonce=nonce)}
    answer = browser.http.post("/token", data=form, auth=service, headers=headers)
    assert (answer.status_code, answer.json["token_type"]) == (200, "DPoP")
    claims = jwt.decode(answer.json["access_token"], options={"verify_signature": False})
    assert claims["cnf"] == {"jkt": own.jkt}


def test_a_public_clients_refresh_token_is_bound(browser: Browser, public_client: str, nonce: str) -> None:
    key = Key()
    form = {"grant_type": "refresh_token", "client_id": public_client}
    form["refresh_token"] = bound(browser, public_client, key, nonce)["refresh_token"]
    assert post(browser, form, None).json["error"] == "invalid_grant"
    assert post(browser, form, Key().proof("POST", TOKEN, nonce=nonce)).json["error"] == "invalid_grant"
    renewed = post(browser, form, key.proof("POST", TOKEN, nonce=nonce))
    assert (renewed.status_code, renewed.json["token_type"]) == (200, "DPoP")


def test_a_confidential_client_may_change_its_key(browser: Browser, database: Database, nonce: str) -> None:
    client_id, secret = register_client(database, token_endpoint_auth_method="client_secret_post", trusted=True)
    form = code_form(browser, client_id) | {"client_secret": secret}
    first = post(browser, form, Key().proof("POST", TOKEN, nonce=nonce)).json
    form = {"grant_type": "refresh_token", "client_id": client_id, "client_secret": secret}
    form["refresh_token"] = first["refresh_token"]
    renewed = post(browser, form, Key().proof("POST", TOKEN, nonce=nonce))
    assert (renewed.status_code, renewed.json["token_type"]) == (200, "DPoP")


def test_a_client_may_be_held_to_it(browser: Browser, database: Database, nonce: str) -> None:
    client_id, _ = register_client(
        database, token_endpoint_auth_method="none", trusted=True, dpop_bound_access_tokens=True
    )
    form = code_form(browser, client_id)
    assert post(browser, form, None).json["error"] == "invalid_dpop_proof"
    assert post(browser, form, Key().proof("POST", TOKEN, nonce=nonce)).json["token_type"] == "DPoP"


def test_a_code_may_be_bound_from_the_start(browser: Browser, public_client: str, nonce: str) -> None:
    key = Key()
    form = code_form(browser, public_client, dpop_jkt=key.jkt)
    assert post(browser, form, None).json["error"] == "invalid_grant"
    assert post(browser, form, Key().proof("POST", TOKEN, nonce=nonce)).json["error"] == "invalid_grant"
    assert post(browser, form, key.proof("POST", TOKEN, nonce=nonce)).status_code == 200


def test_a_resource_wants_the_proof_as_well(browser: Browser, public_client: str, nonce: str, app: Flask) -> None:
    key = Key()
    token = bound(browser, public_client, key, nonce)["access_token"]

    def ask(headers: dict[str, str]) -> TestResponse:
        return app.test_client().get("/userinfo", headers=headers)

    assert ask(key.headers("GET", USERINFO, token)).status_code == 200
    as_bearer = ask({"Authorization": f"Bearer {token}"})
    assert (as_bearer.status_code, as_bearer.headers["WWW-Authenticate"][:5]) == (401, "DPoP ")
    assert 'algs="ES256' in as_bearer.headers["WWW-Authenticate"]
    for wrong in (
        {"Authorization": f"DPoP {token}"},
        key.headers("POST", USERINFO, token),
        key.headers("GET", f"{ISSUER}/token", token),
        key.headers("GET", USERINFO, token, ath="x"),
        key.headers("GET", USERINFO, token, ath=None),
        key.headers("GET", USERINFO, token, iat=1),
        Key().headers("GET", USERINFO, token),
    ):
        answer = ask(wrong)
        assert (answer.status_code, answer.json["code"]) == (401, "unauthorized")
        assert 'error="invalid_dpop_proof"' in answer.headers["WWW-Authenticate"]


def test_a_proof_at_a_resource_counts_once(browser: Browser, public_client: str, nonce: str, app: Flask) -> None:
    key = Key()
    headers = key.headers("GET", USERINFO, bound(browser, public_client, key, nonce)["access_token"])
    answers = [app.test_client().get("/userinfo", headers=headers).status_code for _ in range(2)]
    assert answers == [200, 401]


def test_a_query_is_no_part_of_the_proof(browser: Browser, public_client: str, nonce: str, app: Flask) -> None:
    key = Key()
    token = bound(browser, public_client, key, nonce)["access_token"]
    headers = key.headers("GET", "HTTP://LOCALHOST:8000/userinfo", token)
    assert app.test_client().get("/userinfo?a=b", headers=headers).status_code == 200


def test_a_plain_token_is_not_made_better_by_a_proof(browser: Browser, public_client: str, app: Flask) -> None:
    token = browser.tokens(public_client)["access_token"]
    answer = app.test_client().get("/userinfo", headers=Key().headers("GET", USERINFO, token))
    assert (answer.status_code, answer.headers["WWW-Authenticate"][:5]) == (401, "DPoP ")


def test_machines_may_bind_their_tokens(browser: Browser, database: Database, nonce: str) -> None:
    client_id, secret = register_client(
        database, grant_types=["client_credentials"], scope="replicas:read", redirect_uris=[],
        token_endpoint_auth_method="client_secret_post",
    )  # fmt: skip
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    assert post(browser, form, Key().proof("POST", TOKEN, nonce=nonce)).json["token_type"] == "DPoP"
