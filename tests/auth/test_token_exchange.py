"""Token exchange (RFC 8693) and resource indicators (RFC 8707): whom a token is for, and who acts."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from auth_service.domain import clients
from auth_service.domain.clients import TOKEN_EXCHANGE
from common.auth import StaticKeys, TokenVerifier
from common.db import Database
from common.errors import Unauthorized
from tests.auth.support import ISSUER, Browser, Pkce, authorization, query, register_client
from tests.auth.test_authorize import consent_page, decide

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
SERVICE = {"grant_types": [TOKEN_EXCHANGE, "client_credentials"], "scope": "orders:read", "redirect_uris": []}

AT_THE_GATEWAY = ("bookstore-api", ISSUER)


@pytest.fixture
def service(app: Flask, database: Database) -> tuple[str, str]:
    return register_client(database, **SERVICE)


def exchange(http: FlaskClient, service: tuple[str, str], token: str, **changes: Any) -> TestResponse:
    form = {"grant_type": TOKEN_EXCHANGE, "subject_token": token, "subject_token_type": ACCESS_TOKEN} | changes
    return http.post("/token", data={k: v for k, v in form.items() if v is not None}, auth=service)


def claims_of(answer: TestResponse) -> dict[str, Any]:
    assert answer.status_code == 200, answer.json
    return jwt.decode(answer.json["access_token"], options={"verify_signature": False})


def accepts(http: FlaskClient, token: str, audience: Any) -> bool:
    keys = StaticKeys(http.get("/.well-known/jwks.json").json)
    try:
        TokenVerifier(issuer=ISSUER, audience=audience, keys=keys).verify(token)
    except Unauthorized:
        return False
    return True


def test_a_service_acts_for_a_person(browser: Browser, public_client: str, service: tuple[str, str]) -> None:
    token = browser.tokens(public_client)["access_token"]
    before = jwt.decode(token, options={"verify_signature": False})
    answer = exchange(browser.http, service, token, audience="catalog-service")
    assert answer.json["issued_token_type"] == ACCESS_TOKEN
    assert answer.json["token_type"] == "Bearer"
    assert "refresh_token" not in answer.json
    claims = claims_of(answer)
    assert claims["sub"] == browser.person["id"]
    assert claims["act"] == {"sub": service[0]}
    assert (claims["client_id"], claims["scope"]) == (service[0], "orders:read")
    assert (claims["role"], claims["sid"], claims["aud"]) == ("customer", before["sid"], "catalog-service")
    assert claims["exp"] <= before["exp"]


def test_such_a_token_is_for_one_service(browser: Browser, public_client: str, service: tuple[str, str]) -> None:
    token = browser.tokens(public_client)["access_token"]
    narrow = exchange(browser.http, service, token, audience="catalog-service").json["access_token"]
    gateway, catalog, order = (
        AT_THE_GATEWAY,
        ("bookstore-api", ISSUER, "catalog-service"),
        ("bookstore-api", ISSUER, "order-service"),
    )
    assert [accepts(browser.http, narrow, each) for each in (gateway, catalog, order)] == [False, True, False]
    assert all(accepts(browser.http, token, each) for each in (gateway, catalog, order))


def test_who_acted_before_stays_told(
    browser: Browser, public_client: str, service: tuple[str, str], database: Database
) -> None:
    other = register_client(database, **SERVICE)
    first = exchange(browser.http, service, browser.tokens(public_client)["access_token"]).json["access_token"]
    second = claims_of(exchange(browser.http, other, first))
    assert second["act"] == {"sub": other[0], "act": {"sub": service[0]}}
    token = first
    for _ in range(4):
        token = exchange(browser.http, other, token).json["access_token"]
    assert exchange(browser.http, other, token).json["error"] == "invalid_request"


def named_service(database: Database, name: str) -> tuple[str, str]:
    """The client of a service, which is called by the name that is the audience of its tokens."""
    metadata = clients.Metadata(client_name=name, **SERVICE)
    with database.transaction() as session:
        clients.ensure(session, name, "its secret", metadata, own_origin=ISSUER)
    return name, "its secret"


def test_a_token_for_one_service_is_exchanged_by_that_service_only(
    browser: Browser, public_client: str, service: tuple[str, str], database: Database
) -> None:
    order, catalog = named_service(database, "order-service"), named_service(database, "catalog-service")
    token = browser.tokens(public_client, resource="order-service")["access_token"]
    for stranger in (service, catalog):
        refused = exchange(browser.http, stranger, token, audience="review-service")
        assert (refused.status_code, refused.json["error"]) == (400, "invalid_request")
    onward = exchange(browser.http, order, token, audience="catalog-service")
    assert claims_of(onward)["aud"] == "catalog-service"
    further = exchange(browser.http, catalog, onward.json["access_token"], audience="review-service")
    assert claims_of(further)["act"] == {"sub": "catalog-service", "act": {"sub": "order-service"}}


@pytest.mark.parametrize(
    "named",
    [
        {},
        {"audience": "bookstore-api"},
        {"audience": ISSUER},
        {"resource": f"{ISSUER}/"},
        {"resource": f"{ISSUER}/api/v1/orders"},
    ],
)
def test_a_token_for_one_service_never_becomes_one_for_the_api(
    browser: Browser, public_client: str, database: Database, named: dict[str, str]
) -> None:
    order = named_service(database, "order-service")
    narrow = browser.tokens(public_client, resource="order-service")["access_token"]
    refused = exchange(browser.http, order, narrow, **named)
    assert (refused.status_code, refused.json["error"]) == (400, "invalid_target")
    for resource in (None, ISSUER, f"{ISSUER}/api/v1/orders"):
        token = browser.tokens(public_client, resource=resource)["access_token"]
        assert accepts(browser.http, exchange(browser.http, order, token, **named).json["access_token"], AT_THE_GATEWAY)


def test_an_actor_token_is_the_clients_own(browser: Browser, public_client: str, service: tuple[str, str]) -> None:
    token = browser.tokens(public_client)["access_token"]
    own = browser.http.post("/token", data={"grant_type": "client_credentials"}, auth=service).json["access_token"]
    kind = {"actor_token_type": ACCESS_TOKEN}
    assert claims_of(exchange(browser.http, service, token, actor_token=own, **kind))["act"] == {"sub": service[0]}
    for wrong in ({"actor_token": token} | kind, {"actor_token": own}, kind, {"actor_token": "x"} | kind):
        assert exchange(browser.http, service, token, **wrong).json["error"] == "invalid_request"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"subject_token": None}, "invalid_request"),
        ({"subject_token": "nonsense"}, "invalid_request"),
        ({"subject_token_type": None}, "invalid_request"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:id_token"}, "invalid_request"),
        ({"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}, "invalid_request"),
        ({"scope": "orders:read users:manage"}, "invalid_scope"),
        ({"scope": "openid"}, "invalid_scope"),
        ({"audience": "https://evil.example"}, "invalid_target"),
        ({"resource": "https://evil.example"}, "invalid_target"),
        ({"audience": "catalog-service", "resource": ISSUER}, "invalid_target"),
        ({"resource": [ISSUER, "order-service"]}, "invalid_target"),
    ],
)
def test_what_cannot_be_exchanged(
    browser: Browser, public_client: str, service: tuple[str, str], changes: dict[str, Any], error: str
) -> None:
    token = browser.tokens(public_client)["access_token"]
    answer = exchange(browser.http, service, token, **changes)
    assert (answer.status_code, answer.json["error"]) == (400, error)


def test_other_tokens_of_ours_cannot_be_exchanged(
    browser: Browser, public_client: str, service: tuple[str, str]
) -> None:
    tokens = browser.tokens(public_client)
    own = browser.http.post("/token", data={"grant_type": "client_credentials"}, auth=service).json["access_token"]
    for token in (tokens["id_token"], tokens["refresh_token"], own):
        assert exchange(browser.http, service, token).json["error"] == "invalid_request"


def test_what_ends_the_persons_token_ends_the_exchange(
    browser: Browser, public_client: str, service: tuple[str, str], app: Flask
) -> None:
    tokens = browser.tokens(public_client)
    acting = exchange(browser.http, service, tokens["access_token"]).json["access_token"]
    browser.http.post("/revoke", data={"token": tokens["refresh_token"], "client_id": public_client})
    assert exchange(browser.http, service, tokens["access_token"]).json["error"] == "invalid_request"
    told = browser.http.post("/introspect", data={"token": acting}, auth=service)
    assert told.json == {"active": False}


def test_only_registered_clients_may(browser: Browser, public_client: str, database: Database) -> None:
    token = browser.tokens(public_client)["access_token"]
    other = register_client(database, grant_types=["client_credentials"], scope="orders:read", redirect_uris=[])
    assert exchange(browser.http, other, token).json["error"] == "unauthorized_client"
    form = {"grant_type": TOKEN_EXCHANGE, "client_id": public_client, "subject_token": token}
    form |= {"subject_token_type": ACCESS_TOKEN}
    assert browser.http.post("/token", data=form).json["error"] == "invalid_client"


@pytest.mark.parametrize(
    ("resource", "audience"),
    [
        (ISSUER, ISSUER),
        (f"{ISSUER}/", ISSUER),
        (f"{ISSUER}/api/v1/orders", [ISSUER, f"{ISSUER}/api/v1/orders"]),
        ("bookstore-api", "bookstore-api"),
        ("order-service", "order-service"),
        (None, "bookstore-api"),
    ],
)
def test_a_token_is_for_the_resource_that_was_asked_for(
    browser: Browser, public_client: str, resource: str | None, audience: Any
) -> None:
    tokens = browser.tokens(public_client, resource=resource)
    renewed = browser.refresh(tokens["refresh_token"], public_client).json
    for each in (tokens, renewed):
        assert jwt.decode(each["access_token"], options={"verify_signature": False})["aud"] == audience


def test_the_api_by_its_address_is_the_api(browser: Browser, public_client: str, app: Flask) -> None:
    for resource in (ISSUER, f"{ISSUER}/api/v1/orders"):
        token = browser.tokens(public_client, resource=resource)["access_token"]
        answer = app.test_client().get("/userinfo", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200


def test_of_several_resources_each_token_names_one(browser: Browser, public_client: str) -> None:
    pkce = Pkce()
    asked = authorization(public_client, pkce, resource=["order-service", "catalog-service"])
    code = browser.code_for(**asked)["code"]
    assert browser.redeem(code, public_client, pkce).json["error"] == "invalid_target"
    assert browser.redeem(code, public_client, pkce, resource=ISSUER).json["error"] == "invalid_target"
    both = browser.redeem(code, public_client, pkce, resource=["order-service", "catalog-service"])
    assert both.json["error"] == "invalid_target"
    tokens = browser.redeem(code, public_client, pkce, resource="order-service")
    assert claims_of(tokens)["aud"] == "order-service"
    other = browser.refresh(tokens.json["refresh_token"], public_client, resource="catalog-service")
    assert claims_of(other)["aud"] == "catalog-service"
    assert browser.refresh(other.json["refresh_token"], public_client, resource=ISSUER).status_code == 400


@pytest.mark.parametrize(
    "resource", ["https://evil.example/", f"{ISSUER}/#x", f"{ISSUER}.evil.example/", "x", "é", "'"]
)
def test_unknown_resources(browser: Browser, public_client: str, resource: str) -> None:
    answer = browser.authorize(**authorization(public_client, Pkce(), resource=resource))
    assert query(answer.location)["error"] == "invalid_target"


def test_machines_name_their_resource_too(browser: Browser, service: tuple[str, str]) -> None:
    def ask(**form: Any) -> TestResponse:
        return browser.http.post("/token", data={"grant_type": "client_credentials"} | form, auth=service)

    assert claims_of(ask(resource="review-service"))["aud"] == "review-service"
    assert ask(resource="https://evil.example/").json["error"] == "invalid_target"


def test_an_apps_token_does_not_become_one_that_touches_the_account(browser: Browser, database: Database) -> None:
    """A program of the store acts for the person, and yet with no more than the app had whose token it exchanged."""
    app, _ = register_client(database, token_endpoint_auth_method="none")
    own = register_client(database, **(SERVICE | {"scope": "openid profile email", "trusted": True}))
    pkce = Pkce()
    code = query(decide(browser, consent_page(browser, app, pkce), "allow").location)["code"]
    subject = browser.redeem(code, app, pkce).json["access_token"]
    acting = exchange(browser.http, own, subject).json["access_token"]
    headers = {"Authorization": f"Bearer {acting}"}
    assert browser.http.get("/api/v1/users/me", headers=headers).status_code == 200
    assert browser.http.patch("/api/v1/users/me", json={"username": "thief"}, headers=headers).status_code == 403
