"""private_key_jwt: clients that have a key instead of a secret (RFC 7523)."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from flask import Flask
from flask.testing import FlaskClient
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm

from common.db import Database
from tests.auth.support import ISSUER, Browser, Pkce, authorization, register_client
from tests.auth.test_token import in_parallel
from tests.support.proofs import ASSERTION_TYPE, Key

MACHINE = {"grant_types": ["client_credentials"], "scope": "replicas:read", "redirect_uris": []}
GRANT = {"grant_type": "client_credentials"}


def register(database: Database, *jwks: dict[str, Any], **metadata: Any) -> str:
    given = MACHINE | {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": list(jwks)}} | metadata
    return register_client(database, **given)[0]


def test_a_key_is_as_good_as_a_secret(client: FlaskClient, database: Database) -> None:
    key = Key()
    client_id = register(database, key.public_jwk)
    answer = client.post("/token", data=GRANT | key.credentials(client_id, ISSUER))
    assert answer.status_code == 200, answer.json
    named = client.post("/token", data=GRANT | {"client_id": client_id} | key.credentials(client_id, ISSUER))
    assert named.status_code == 200


@pytest.mark.parametrize(
    "spoil",
    [
        {"iss": "somebody"},
        {"sub": "somebody"},
        {"iss": None},
        {"sub": None},
        {"aud": None},
        {"aud": "https://evil.example"},
        {"aud": []},
        {"aud": [ISSUER]},
        {"aud": f"{ISSUER}/token"},
        {"aud": [ISSUER, "https://other.example"]},
        {"exp": None},
        {"exp": 1},
        {"exp": int(time.time()) + 86400},
        {"exp": "soon"},
        {"jti": None},
        {"jti": ""},
        {"nbf": int(time.time()) + 3600},
        {"sub": "nul\x00"},
        {"sub": 7},
        {"key": ec.generate_private_key(ec.SECP256R1())},
    ],
)
def test_an_assertion_that_does_not_hold(client: FlaskClient, database: Database, spoil: dict[str, Any]) -> None:
    key = Key()
    client_id = register(database, key.public_jwk)
    audience = spoil.get("aud", ISSUER)
    rest = {name: value for name, value in spoil.items() if name != "aud"}
    answer = client.post("/token", data=GRANT | key.credentials(client_id, audience, **rest))
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("assertion", ["", "x", "a.b.c", "e30.e30.", "x" * 9000])
def test_an_assertion_that_is_none(client: FlaskClient, database: Database, assertion: str) -> None:
    form = GRANT | {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
    assert client.post("/token", data=form).status_code == 401


def test_unsigned_and_symmetric_assertions_are_refused(client: FlaskClient, database: Database) -> None:
    key = Key()
    client_id = register(database, key.public_jwk)
    now = int(time.time())
    claims = {"iss": client_id, "sub": client_id, "aud": ISSUER, "exp": now + 60, "jti": "1"}
    for secret, algorithm in ((None, "none"), ("s" * 32, "HS256")):
        form = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": jwt.encode(claims, secret, algorithm)}
        assert client.post("/token", data=GRANT | form).status_code == 401


def test_an_assertion_counts_once(app: Flask, database: Database) -> None:
    key = Key()
    client_id = register(database, key.public_jwk)
    form = GRANT | key.credentials(client_id, ISSUER)
    answers = in_parallel(4, lambda _: app.test_client().post("/token", data=form).status_code)
    assert sorted(answers) == [200, 401, 401, 401]


def test_a_refused_request_spends_its_assertion(client: FlaskClient, database: Database) -> None:
    key = Key()
    client_id = register(database, key.public_jwk)
    shown = key.credentials(client_id, ISSUER)
    assert (
        client.post("/token", data={"grant_type": "client_credentials", "scope": "openid"} | shown).status_code == 400
    )
    assert client.post("/token", data=GRANT | shown).status_code == 401


def test_more_kinds_of_keys(client: FlaskClient, database: Database) -> None:
    edwards, modulus = ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)
    keys = [
        OKPAlgorithm.to_jwk(edwards.public_key(), as_dict=True) | {"kid": "ed"},
        RSAAlgorithm.to_jwk(modulus.public_key(), as_dict=True) | {"kid": "rsa"},
    ]
    client_id = register(database, *keys)
    for private, algorithm in ((edwards, "EdDSA"), (modulus, "RS256"), (modulus, "PS256")):
        shown = Key().credentials(client_id, ISSUER, key=private, alg=algorithm)
        assert client.post("/token", data=GRANT | shown).status_code == 200


def test_it_is_the_only_way_for_such_a_client(client: FlaskClient, database: Database) -> None:
    key = Key()
    client_id = register(database, key.public_jwk)
    assert client.post("/token", data=GRANT | {"client_id": client_id}).status_code == 401
    assert client.post("/token", data=GRANT, auth=(client_id, "")).status_code == 401
    assert client.post("/revoke", data={"client_id": client_id, "token": "x"}).status_code == 401
    shown = key.credentials(client_id, ISSUER)
    both = client.post("/token", data=GRANT | shown, auth=(client_id, "x"))
    assert both.json["error"] == "invalid_request"


def test_a_client_with_a_secret_cannot_do_it(client: FlaskClient, database: Database) -> None:
    key = Key()
    client_id, _ = register_client(database, **MACHINE, jwks={"keys": [key.public_jwk]})
    assert client.post("/token", data=GRANT | key.credentials(client_id, ISSUER)).status_code == 401


def test_the_other_endpoints_know_it_too(browser: Browser, database: Database) -> None:
    key, pkce = Key(), Pkce()
    client_id = register_client(
        database, token_endpoint_auth_method="private_key_jwt", jwks={"keys": [key.public_jwk]}, trusted=True
    )[0]
    shown = key.credentials(client_id, ISSUER)
    pushed = browser.http.post("/par", data=authorization(client_id, pkce) | shown)
    assert pushed.status_code == 201
    returned = browser.code_for(client_id=client_id, request_uri=pushed.json["request_uri"])
    tokens = browser.redeem(returned["code"], client_id, pkce, **key.credentials(client_id, ISSUER)).json
    form = {"token": tokens["access_token"]}
    told = browser.http.post("/introspect", data=form | key.credentials(client_id, ISSUER))
    assert told.json["active"] is True
    assert browser.http.post("/revoke", data=form | key.credentials(client_id, ISSUER)).status_code == 200
    told = browser.http.post("/introspect", data=form | key.credentials(client_id, ISSUER))
    assert told.json == {"active": False}
