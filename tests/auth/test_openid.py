"""OpenID Connect Core: what a client may ask of a sign-in, and what it is told of it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
from authlib.oidc.core.util import create_half_hash
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from auth_service.models import SignInSession
from common import assurance
from common.db import Database
from tests.auth.support import Browser, Pkce, authorization, query, register_client
from tests.auth.test_authorize import consent_page, refusal


def id_token(tokens: dict[str, Any]) -> dict[str, Any]:
    return jwt.decode(tokens["id_token"], options={"verify_signature": False})


def userinfo(app: Flask, tokens: dict[str, Any]) -> dict[str, Any]:
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    return app.test_client().get("/userinfo", headers=header).json


def test_an_id_token_tells_how_the_person_signed_in(browser: Browser, public_client: str) -> None:
    claims = id_token(browser.tokens(public_client, acr_values=assurance.TWO_FACTORS))
    assert (claims["acr"], claims["amr"]) == (assurance.ONE_FACTOR, ["pwd"])
    assert claims["auth_time"] <= claims["iat"]


@pytest.mark.parametrize("algorithm", ["RS256", "EdDSA", "ES256"])
def test_a_client_may_want_its_id_tokens_signed_in_another_way(
    browser: Browser, database: Database, client: FlaskClient, algorithm: str
) -> None:
    client_id, _ = register_client(
        database, token_endpoint_auth_method="none", trusted=True, id_token_signed_response_alg=algorithm
    )
    tokens = browser.tokens(client_id)
    header = jwt.get_unverified_header(tokens["id_token"])
    published = client.get("/.well-known/jwks.json").json["keys"]
    key = next(jwt.PyJWK(each) for each in published if each["kid"] == header["kid"])
    claims = jwt.decode(tokens["id_token"], key.key, [algorithm], audience=client_id)
    assert claims["at_hash"] == create_half_hash(tokens["access_token"], algorithm).decode()
    assert jwt.get_unverified_header(tokens["access_token"])["alg"] == "ES256"


def test_two_factors_are_told(browser: Browser, public_client: str, database: Database) -> None:
    browser.tokens(public_client)
    with database.transaction() as session:
        session.execute(update(SignInSession).values(amr=["pwd", "otp", "mfa"]))
    claims = id_token(browser.tokens(public_client, claims=acr_claims(assurance.TWO_FACTORS)))
    assert (claims["acr"], claims["amr"]) == (assurance.TWO_FACTORS, ["pwd", "otp", "mfa"])


def acr_claims(*values: str) -> str:
    return json.dumps({"id_token": {"acr": {"essential": True, "values": list(values)}}})


def test_an_essential_level_that_is_not_reached_is_an_error(browser: Browser, public_client: str) -> None:
    browser.tokens(public_client)
    for values in ([assurance.TWO_FACTORS], ["urn:nobody:knows"]):
        refused = refusal(browser, public_client, claims=acr_claims(*values))
        assert refused["error"] == "unmet_authentication_requirements"
    fine = browser.authorize(**authorization(public_client, Pkce(), claims=acr_claims(assurance.ONE_FACTOR)))
    assert "code" in query(fine.location)


def test_claims_are_told_where_they_were_asked_for(browser: Browser, public_client: str, app: Flask) -> None:
    asked = {"id_token": {"email": None, "nonsense": None}, "userinfo": {"preferred_username": {"essential": True}}}
    tokens = browser.tokens(public_client, scope="openid", claims=json.dumps(asked))
    claims = id_token(tokens)
    assert claims["email"] == "reader@example.com"
    assert not {"preferred_username", "nonsense"} & claims.keys()
    assert userinfo(app, tokens) == {"sub": browser.person["id"], "preferred_username": "reader"}
    renewed = browser.refresh(tokens["refresh_token"], public_client).json
    assert id_token(renewed)["email"] == "reader@example.com"


def test_claims_cannot_exceed_what_the_client_may_know(browser: Browser, database: Database, app: Flask) -> None:
    client_id, _ = register_client(database, token_endpoint_auth_method="none", trusted=True, scope="openid")
    asked = json.dumps({"id_token": {"email": None}, "userinfo": {"email": None}})
    tokens = browser.tokens(client_id, scope="openid", claims=asked)
    assert "email" not in id_token(tokens)
    assert userinfo(app, tokens).keys() == {"sub"}


def test_claims_need_consent_as_their_scope_does(browser: Browser, database: Database) -> None:
    client_id, _ = register_client(database, token_endpoint_auth_method="none")
    asked = json.dumps({"userinfo": {"email": None}})
    page = consent_page(browser, client_id, Pkce(), scope="openid", claims=asked)
    assert "see your mail address" in page.text


@pytest.mark.parametrize(
    "claims",
    ["x", "[]", "7", '"s"', '{"id_token": 1}', '{"id_token": {"email": 1}}', '{"userinfo": []}', "[" * 3000,
     '{"id_token": {"acr": {"essential": true, "values": 1}}}', "x" * 5000,
     '{"id_token": {"sub": {"value": "a"}}, "userinfo": {"sub": {"value": "b"}}}'],
)  # fmt: skip
def test_claims_that_cannot_be_read(browser: Browser, public_client: str, claims: str) -> None:
    assert refusal(browser, public_client, claims=claims)["error"] == "invalid_request"


@pytest.mark.parametrize("by", ["claims", "id_token_hint"])
def test_a_certain_person_is_asked_for(
    browser: Browser, public_client: str, app: Flask, make_user: Any, by: str
) -> None:
    other = Browser(app.test_client(), make_user("other"))

    def naming(whose: Browser) -> dict[str, str]:
        if by == "claims":
            return {"claims": json.dumps({"id_token": {"sub": {"value": whose.person["id"]}}})}
        return {"id_token_hint": whose.tokens(public_client)["id_token"]}

    browser.tokens(public_client)
    assert refusal(browser, public_client, **naming(other))["error"] == "login_required"
    assert refusal(browser, public_client, prompt="none", **naming(other))["error"] == "login_required"
    same = browser.authorize(**authorization(public_client, Pkce(), prompt="none", **naming(browser)))
    assert "code" in query(same.location)


def test_a_hint_that_is_not_ours(browser: Browser, public_client: str) -> None:
    tokens = browser.tokens(public_client)
    for hint in ("nonsense", tokens["access_token"]):
        assert refusal(browser, public_client, id_token_hint=hint)["error"] == "invalid_request"


def test_a_fresh_sign_in_is_told_as_such(browser: Browser, public_client: str, database: Database) -> None:
    first = id_token(browser.tokens(public_client))
    with database.transaction() as session:
        session.execute(update(SignInSession).values(authenticated_at="2026-01-01T00:00:00Z"))
    asked = browser.authorize(**authorization(public_client, Pkce(), max_age="60"))
    assert urlsplit(asked.location).path == "/account/sign-in"
    pkce = Pkce()
    returned = browser.code_for(**authorization(public_client, pkce, max_age="60"))
    again = id_token(browser.redeem(returned["code"], public_client, pkce).json)
    assert again["auth_time"] >= first["auth_time"]
    assert again["sid"] == first["sid"]


def test_discovery_names_only_what_answers(client: FlaskClient) -> None:
    known = client.get("/.well-known/openid-configuration").json
    assert known == client.get("/.well-known/oauth-authorization-server").json
    paths = {
        name: value.removeprefix(known["issuer"])
        for name, value in known.items()
        if name.endswith("_endpoint") or name == "jwks_uri"
    }
    assert len(paths) == 9
    for name, path in paths.items():
        assert client.open(path, method="GET").status_code in (200, 303, 400, 401, 405), name
        assert client.open(path, method="GET").status_code != 404, name
    assert client.open(paths["token_endpoint"], method="POST").status_code in (400, 401)


def test_discovery_is_complete(client: FlaskClient) -> None:
    known = client.get("/.well-known/openid-configuration").json
    assert {"authorization_code", "refresh_token", "client_credentials"} <= set(known["grant_types_supported"])
    assert {"implicit", "password"}.isdisjoint(known["grant_types_supported"])
    assert known["code_challenge_methods_supported"] == ["S256"]
    assert "private_key_jwt" in known["token_endpoint_auth_methods_supported"]
    assert "none" not in known["introspection_endpoint_auth_methods_supported"]
    algorithms = [values for name, values in known.items() if "alg_values" in name]
    assert len(algorithms) == 5
    assert all({"none", "HS256"}.isdisjoint(values) for values in algorithms)
    for name in ("claims_parameter_supported", "backchannel_logout_supported", "backchannel_logout_session_supported"):
        assert known[name] is True
    for name in ("request_parameter_supported", "request_uri_parameter_supported"):
        assert known[name] is False


def test_the_protected_resource_describes_itself(client: FlaskClient) -> None:
    known = client.get("/.well-known/oauth-protected-resource").json
    server = client.get("/.well-known/oauth-authorization-server").json
    assert known["authorization_servers"] == [server["issuer"]]
    assert server["protected_resources"] == [known["resource"]]
    assert known["bearer_methods_supported"] == ["header"]
    assert set(server["scopes_supported"]) - set(known["scopes_supported"]) == {"offline_access", "replicas:read"}
