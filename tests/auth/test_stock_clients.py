"""Clients that other people wrote, against a server that listens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oidc.core import CodeIDToken
from idpyoidc.client.rp_handler import RPHandler
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from requests_oauthlib import OAuth2Session as RequestsOAuthlib

from auth_service.config import AuthConfig
from common.auth import JwksKeys, TokenVerifier
from common.db import Database
from tests.auth.live import running_issuer, visit
from tests.auth.support import Pkce, query, register_client

HERE = "http://127.0.0.1:51004/callback"


@pytest.fixture
def issuer(config: AuthConfig, database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a running auth service."""
    for name in ("AUTHLIB_INSECURE_TRANSPORT", "OAUTHLIB_INSECURE_TRANSPORT"):
        monkeypatch.setenv(name, "1")
    with running_issuer(config, database) as url:
        yield url


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


def test_authlib_authenticates_by_key(issuer: str, database: Database) -> None:
    key = ECKey.generate_key("P-256", {"kid": "one"})
    client_id, _ = register_client(
        database, grant_types=["client_credentials"], scope="replicas:read", redirect_uris=[],
        token_endpoint_auth_method="private_key_jwt", jwks={"keys": [key.as_dict(private=False)]},
    )  # fmt: skip
    session = OAuth2Session(client_id, key, token_endpoint_auth_method="private_key_jwt")
    session.register_client_auth_method(PrivateKeyJWT(issuer, alg="ES256"))
    token = session.fetch_token(f"{issuer}/token", grant_type="client_credentials")
    assert token["scope"] == "replicas:read"


def test_requests_oauthlib_walks_the_whole_flow(issuer: str, make_user: Any, database: Database) -> None:
    client_id, secret = register_client(database, trusted=True)
    session = RequestsOAuthlib(client_id, redirect_uri=HERE, scope=["openid", "profile", "email"], pkce="S256")
    url, _state = session.authorization_url(f"{issuer}/authorize", nonce="n")
    back = visit(url, make_user())
    token = session.fetch_token(f"{issuer}/token", authorization_response=back, client_secret=secret)
    assert session.get(f"{issuer}/userinfo").json()["email"] == "reader@example.com"
    again = session.refresh_token(f"{issuer}/token", auth=(client_id, secret))
    assert again["refresh_token"] != token["refresh_token"]
    assert session.get(f"{issuer}/userinfo").status_code == 200


def test_idpyoidc_is_satisfied_with_everything(
    issuer: str, make_user: Any, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It discovers, checks the ID token against the keys and asks userinfo, all by itself."""
    monkeypatch.chdir(tmp_path)  # it leaves its keys in the working directory
    client_id, secret = register_client(database, redirect_uris=[HERE], trusted=True)
    handler = RPHandler(
        base_url="http://127.0.0.1:51004",
        client_configs={
            "ours": {
                "issuer": issuer,
                "client_type": "oidc",
                "client_id": client_id,
                "client_secret": secret,
                "redirect_uris": [HERE],
                "response_types_supported": ["code"],
                "scopes_supported": ["openid", "profile", "email"],
                "id_token_signed_response_alg": "ES256",
                "add_ons": {
                    "pkce": {
                        "function": "idpyoidc.client.oauth2.add_on.pkce.add_support",
                        "kwargs": {"code_challenge_length": 64, "code_challenge_method": "S256"},
                    }
                },
                "services": {
                    "discovery": {"class": "idpyoidc.client.oidc.provider_info_discovery.ProviderInfoDiscovery"},
                    "authorization": {"class": "idpyoidc.client.oidc.authorization.Authorization"},
                    "accesstoken": {"class": "idpyoidc.client.oidc.access_token.AccessToken"},
                    "userinfo": {"class": "idpyoidc.client.oidc.userinfo.UserInfo"},
                },
            }
        },
    )
    url = handler.begin("ours")
    back = query(visit(url, make_user()))
    done = handler.finalize(issuer, back)
    assert done["userinfo"]["email"] == "reader@example.com"
    assert done["id_token"]["aud"] == [client_id]
