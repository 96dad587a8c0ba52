"""Clients that other people wrote, against a server that listens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urljoin

import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet
from werkzeug.serving import make_server

from auth_service.app import create_app
from auth_service.config import AuthConfig
from common.auth import JwksKeys, TokenVerifier
from common.db import Database
from tests.auth.support import Pkce, hidden_fields, query, register_client
from tests.support.database import empty

HERE = "http://127.0.0.1:51004/callback"


@pytest.fixture
def issuer(config: AuthConfig, database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a running auth service."""
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    server = make_server("127.0.0.1", 0, lambda *_: [], threaded=True)
    url = f"http://127.0.0.1:{server.server_port}"
    app = create_app(replace(config, public_url=url))
    app.extensions["database"].close()
    app.extensions["database"] = database
    server.app = app
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield url
    server.shutdown()
    thread.join()
    server.server_close()
    empty(database)


def visit(url: str, user: dict[str, Any]) -> str:
    """What a person's browser does with an authorization URL; the address at which it ends up."""
    browser = requests.Session()
    page = browser.get(url, timeout=5)
    fields = hidden_fields(page.text) | {"identifier": user["username"], "password": user["password"]}
    answer = browser.post(page.url.split("?")[0], data=fields, timeout=5, allow_redirects=False)
    onward = urljoin(page.url, answer.headers["Location"])
    return browser.get(onward, allow_redirects=False, timeout=5).headers["Location"]


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
def test_authlib_walks_the_whole_flow(issuer: str, make_user: Any, database: Database, method: str) -> None:
    client_id, secret = register_client(database, token_endpoint_auth_method=method, trusted=True)
    metadata = requests.get(f"{issuer}/.well-known/openid-configuration", timeout=5).json()
    session = OAuth2Session(
        client_id, secret or None, token_endpoint_auth_method=method, scope="openid profile", redirect_uri=HERE,
        code_challenge_method="S256", token_endpoint=metadata["token_endpoint"],
    )  # fmt: skip
    pkce = Pkce()
    url, state = session.create_authorization_url(
        metadata["authorization_endpoint"], code_verifier=pkce.verifier, nonce="n"
    )
    back = visit(url, make_user())
    assert query(back)["iss"] == issuer
    token = session.fetch_token(
        metadata["token_endpoint"], authorization_response=back, state=state, code_verifier=pkce.verifier
    )
    keys = KeySet.import_key_set(requests.get(metadata["jwks_uri"], timeout=5).json())
    claims = CodeIDToken(
        jwt.decode(token["id_token"], keys, algorithms=["ES256"]).claims,
        header={"alg": "ES256"},
        params={"nonce": "n", "client_id": client_id, "access_token": token["access_token"]},
    )
    claims.validate(leeway=5)
    assert session.get(metadata["userinfo_endpoint"]).json()["preferred_username"] == "reader"
    renewed = session.refresh_token(metadata["token_endpoint"], refresh_token=token["refresh_token"])
    assert renewed["refresh_token"] != token["refresh_token"]
    assert session.revoke_token(metadata["revocation_endpoint"], renewed["refresh_token"]).status_code == 200
    assert session.get(metadata["userinfo_endpoint"]).status_code == 401


def test_authlib_gets_a_machine_token_that_services_verify(issuer: str, database: Database) -> None:
    client_id, secret = register_client(
        database, grant_types=["client_credentials"], scope="replicas:read", redirect_uris=[]
    )
    token = OAuth2Session(client_id, secret).fetch_token(f"{issuer}/token", grant_type="client_credentials")
    keys = JwksKeys(f"{issuer}/.well-known/jwks.json")
    bearer = TokenVerifier(issuer=issuer, audience="bookstore-api", keys=keys).verify(token["access_token"])
    assert (bearer.subject, bearer.is_user, bearer.has("replicas:read")) == (client_id, False, True)
