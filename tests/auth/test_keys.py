"""Signing keys, and what is published of them."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.fernet import InvalidToken
from flask.testing import FlaskClient
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from auth_service.app import create_app
from auth_service.config import AuthConfig
from auth_service.domain.keys import KeyRing
from auth_service.domain.secrecy import Vault
from auth_service.models import SigningKey
from common.auth import StaticKeys, TokenVerifier
from common.db import Database
from tests.auth.conftest import PASSWORD
from tests.auth.support import ISSUER

OLD, NEW = "old-key-" * 5, "new-key-" * 5


def test_a_private_key_rests_encrypted_and_the_key_for_it_can_be_changed(session: Session) -> None:
    before = KeyRing(Vault([OLD]), "ES256").signer(session)
    stored = session.scalars(select(SigningKey)).one()
    assert b"PRIVATE" not in bytes(stored.private_key)
    assert "d" not in stored.public_jwk
    after = KeyRing(Vault([NEW, OLD]), "ES256").signer(session)
    assert before.private_key.private_numbers() == after.private_key.private_numbers()  # type: ignore[union-attr]
    with pytest.raises(InvalidToken):
        KeyRing(Vault([NEW]), "ES256").signer(session)


def test_processes_that_start_together_agree_on_one_key(database: Database) -> None:
    kids: list[str] = []
    start = threading.Barrier(6)

    def first() -> None:
        start.wait()
        with database.transaction() as own:
            kids.append(KeyRing(Vault([OLD]), "ES256").signer(own).kid)

    threads = [threading.Thread(target=first) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.transaction() as own:
        own.execute(text("TRUNCATE signing_keys"))
    assert len(kids) == 6
    assert len(set(kids)) == 1


def test_the_set_is_public_cacheable_and_holds_no_secret(client: FlaskClient) -> None:
    answer = client.get("/.well-known/jwks.json")
    (key,) = answer.json["keys"]
    assert "max-age" in answer.headers["Cache-Control"]
    assert key.keys() == {"kty", "crv", "x", "y", "kid", "alg", "use"}
    assert (key["alg"], key["use"]) == ("ES256", "sig")


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
def test_every_algorithm_signs_what_services_verify(
    config: AuthConfig, database: Database, make_user: Any, algorithm: str
) -> None:
    app = create_app(replace(config, signing_algorithm=algorithm))
    app.extensions["database"].close()
    app.extensions["database"] = database
    make_user()
    client = app.test_client()
    login = client.post("/api/v1/auth/login", json={"identifier": "reader", "password": PASSWORD}).json
    keys = StaticKeys(client.get("/.well-known/jwks.json").json)
    bearer = TokenVerifier(issuer=ISSUER, audience="bookstore-api", keys=keys).verify(login["access_token"])
    assert bearer.is_user
    assert jwt.get_unverified_header(login["access_token"])["alg"] == algorithm
    metadata = client.get("/.well-known/openid-configuration").json
    assert metadata["id_token_signing_alg_values_supported"][0] == algorithm


def test_a_new_active_key_signs_at_once_and_the_old_one_still_verifies(
    client: FlaskClient, user: Any, sign_in: Any, database: Database, config: AuthConfig
) -> None:
    old = sign_in(user)["access_token"]
    with database.transaction() as session:
        session.execute(text("UPDATE signing_keys SET state = 'retired'"))
        KeyRing(Vault(config.key_encryption_keys), "ES256").signer(session)
    new = sign_in(user)["access_token"]
    assert jwt.get_unverified_header(old)["kid"] != jwt.get_unverified_header(new)["kid"]
    assert len(client.get("/.well-known/jwks.json").json["keys"]) == 2
    for token in (old, new):
        header = {"Authorization": f"Bearer {token}"}
        assert client.get("/api/v1/auth/me", headers=header).status_code == 200


@pytest.mark.parametrize("path", ["openid-configuration", "oauth-authorization-server"])
def test_discovery_names_endpoints_that_exist(client: FlaskClient, path: str) -> None:
    answer = client.get(f"/.well-known/{path}")
    metadata = answer.json
    assert "max-age" in answer.headers["Cache-Control"]
    assert metadata["issuer"] == ISSUER
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    assert metadata["authorization_response_iss_parameter_supported"] is True
    assert "none" not in metadata["id_token_signing_alg_values_supported"]
    rules = {rule.rule for rule in client.application.url_map.iter_rules()}
    endpoints = [value for name, value in metadata.items() if name.endswith("_endpoint") or name == "jwks_uri"]
    assert {url.removeprefix(ISSUER) for url in endpoints} <= rules
