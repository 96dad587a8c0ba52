"""Whose word the gateway takes: a verified token's, and nobody else's."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.gateway.conftest import RunningGateway
from tests.gateway.standin import StandIn
from tests.support import tokens

METADATA = f'resource_metadata="{tokens.ISSUER}/.well-known/oauth-protected-resource"'


def encoded(part: dict[str, object] | bytes) -> str:
    raw = part if isinstance(part, bytes) else orjson.dumps(part)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unsigned() -> str:
    return f"{encoded({'alg': 'none', 'typ': 'at+jwt', 'kid': tokens.KEY_ID})}.{encoded(tokens.claims(role='admin'))}."


def signed_with_the_public_key() -> str:
    pem = tokens.private_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    content = f"{encoded({'alg': 'HS256', 'typ': 'at+jwt', 'kid': tokens.KEY_ID})}.{encoded(tokens.claims())}"
    return f"{content}.{encoded(hmac.new(pem, content.encode(), hashlib.sha256).digest())}"


def signed_by_another_key() -> str:
    stranger = ec.generate_private_key(ec.SECP256R1())
    return jwt.encode(tokens.claims(), stranger, "ES256", headers={"typ": "at+jwt", "kid": tokens.KEY_ID})


def changed_afterwards() -> str:
    header, _, signature = tokens.sign(tokens.claims()).split(".")
    return f"{header}.{encoded(tokens.claims(role='admin'))}.{signature}"


FORGERIES: dict[str, Callable[[], str]] = {
    "alg none": unsigned,
    "HS256 with the public key": signed_with_the_public_key,
    "another key": signed_by_another_key,
    "changed afterwards": changed_afterwards,
    "unknown key id": lambda: tokens.sign(tokens.claims(), headers={"kid": "another"}),
    "expired": lambda: tokens.sign(tokens.claims(exp=int(time.time()) - 60)),
    "not yet valid": lambda: tokens.sign(tokens.claims(nbf=int(time.time()) + 600)),
    "another audience": lambda: tokens.sign(tokens.claims(aud="another-api")),
    "another issuer": lambda: tokens.sign(tokens.claims(iss="https://elsewhere.example")),
    "an ID token": lambda: tokens.sign(tokens.claims(), headers={"typ": "JWT"}),
    "no subject": lambda: tokens.sign(tokens.claims(sub=None)),
    "not a token": lambda: "nonsense",
}


@pytest.mark.parametrize("target", ["/api/v1/orders", "/api/v1/books", "/api/v1/cart", "/health", "/nowhere"])
@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_bad_token_is_refused_everywhere(gateway: RunningGateway, forgery: str, target: str) -> None:
    reply = gateway.ask("GET", target, f"Authorization: Bearer {FORGERIES[forgery]()}")
    assert (reply.status, reply.json()["code"]) == (401, "unauthorized")
    assert reply.fields["Content-Type"] == "application/problem+json"
    assert 'error="invalid_token"' in reply.fields["WWW-Authenticate"]
    assert not any(service.targets() for name, service in gateway.services.items() if name != "auth")


@pytest.mark.parametrize("value", ["Basic YTpi", "Bearer", "Bearer ", "Token x", "Bearer a b"])
def test_other_credentials_are_refused(gateway: RunningGateway, value: str) -> None:
    assert gateway.ask("GET", "/api/v1/books", f"Authorization: {value}").status == 401


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/api/v1/orders"),
        ("POST", "/api/v1/books"),
        ("DELETE", "/api/v1/books/1"),
        ("GET", "/api/v1/books/inactive"),
        ("POST", "/api/v1/books/1/reviews"),
        ("GET", "/api/v1/users/me"),
        ("GET", "/api/v1/admin/users"),
        ("GET", "/api/v1/admin/reviews"),
    ],
)
def test_a_protected_route_wants_a_token(gateway: RunningGateway, method: str, target: str) -> None:
    reply = gateway.ask(method, target)
    assert (reply.status, reply.fields["WWW-Authenticate"]) == (401, f'Bearer realm="bookstore", {METADATA}')
    assert reply.json()["request_id"] == reply.fields["X-Request-ID"]


def test_a_public_route_wants_none(gateway: RunningGateway) -> None:
    assert gateway.ask("GET", "/api/v1/books").status == 200


def test_a_good_token_is_passed_on(gateway: RunningGateway, token: str) -> None:
    assert ["Authorization", token.partition(": ")[2]] in gateway.ask("GET", "/api/v1/orders", token).json()["fields"]


@pytest.mark.parametrize("action", ["register", "login", "refresh", "password-reset/confirm", "verify-email"])
def test_who_gets_a_new_token_may_still_send_the_old_one(gateway: RunningGateway, action: str) -> None:
    old = tokens.sign(tokens.claims(exp=int(time.time()) - 60))
    assert gateway.ask("POST", f"/api/v1/auth/{action}", f"Authorization: Bearer {old}").status == 200


@pytest.mark.parametrize("target", ["/token", "/revoke", "/introspect", "/par"])
def test_client_credentials_are_for_the_service_to_judge(gateway: RunningGateway, target: str) -> None:
    seen = gateway.ask("POST", target, "Authorization: Basic YTpi", "Content-Length: 0").json()
    assert ["Authorization", "Basic YTpi"] in seen["fields"]


@pytest.mark.parametrize(
    "name",
    [
        "X-User-Id",
        "x-user-role",
        "X_User_Id",
        "X-User_Id",
        "X-Auth-Request-User",
        "X_AUTH_ROLE",
        "X-Principal",
        "X-Principal-Scopes",
        "X-Forwarded-User",
        "X-Forwarded-Prefix",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-HTTP-Method-Override",
        "X-Real-IP",
        "Remote-User",
        "REMOTE_USER",
        "Forwarded",
        "Proxy",
        "SCRIPT_NAME",
        "PATH_INFO",
        "HTTP_AUTHORIZATION",
    ],
)
def test_claimed_identities_do_not_get_through(gateway: RunningGateway, name: str) -> None:
    seen = gateway.ask("GET", "/api/v1/books", f"{name}: forged", "Accept: */*").json()
    assert not [field for field in seen["fields"] if "forged" in field[1]]
    assert ["Accept", "*/*"] in seen["fields"]


def test_an_identity_cannot_hide_behind_connection(gateway: RunningGateway, token: str) -> None:
    """Naming a field in Connection takes it away on this hop: also ours, if we did not add ours afterwards."""
    named = "Connection: X-Forwarded-For, X-Request-ID, traceparent, close"
    seen = gateway.ask("GET", "/api/v1/orders", token, named).json()
    assert {name for name, _ in seen["fields"]} >= {"X-Forwarded-For", "X-Request-ID", "traceparent"}


def test_where_a_request_came_from_is_said_by_the_gateway(gateway: RunningGateway, catalog: StandIn) -> None:
    forged = ("X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example")
    gateway.ask("GET", "/api/v1/books", *forged)
    seen = catalog.seen[-1]
    assert seen.all("X-Forwarded-For") == ["127.0.0.1"]
    assert (seen.one("X-Forwarded-Proto"), seen.one("X-Forwarded-Host")) == ("http", "localhost:8000")
    assert seen.one("Host") == f"127.0.0.1:{catalog.port}"
