"""Signing in with Google and GitHub, against stand-ins that speak the real protocols."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from joserfc.jwk import OctKey, RSAKey
from sqlalchemy import func, select

from auth_service.config import Federation
from auth_service.models import Identity, User
from common.db import Database
from tests.auth.letters import subjects
from tests.auth.providers import CLIENT_ID, CLIENT_SECRET, StandIn, stand_in
from tests.auth.support import Browser, hidden_fields

PERSON = {"sub": "4711", "email": "ann@example.com", "email_verified": True, "name": "Ann Reader"}
NAMES = ["google", "github"]


@pytest.fixture(scope="module")
def running() -> Iterator[StandIn]:
    with stand_in() as provider:
        yield provider


@pytest.fixture
def provider(running: StandIn, app: Flask) -> StandIn:
    running.person, running.forged = dict(PERSON), {}
    ours = Federation(client_id=CLIENT_ID, client_secret=CLIENT_SECRET, url=running.url, api_url=running.url)
    authority = app.extensions["authority"]
    app.extensions["authority"] = replace(authority, config=replace(authority.config, google=ours, github=ours))
    return running


def come_back(http: FlaskClient, provider: StandIn, name: str) -> Any:
    away = http.get(f"/api/v1/auth/{name}?return_to=/account")
    assert away.status_code == 303, away.text
    return http.get(provider.agree(away.location))


@pytest.mark.parametrize("name", NAMES)
def test_a_new_person_gets_an_account_and_finds_it_again(
    app: Flask, provider: StandIn, name: str, database: Database
) -> None:
    first = come_back(app.test_client(), provider, name)
    assert (first.status_code, first.location) == (303, "/account"), first.text
    provider.person["email"] = "moved@example.com"
    http = app.test_client()
    come_back(http, provider, name)
    page = http.get("/account").text
    assert "ann@example.com" in page
    assert "not confirmed" not in page
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(User)) == 1
        (identity,) = session.scalars(select(Identity)).all()
        assert (identity.provider, identity.subject) == (name, "4711")


def test_the_same_subject_elsewhere_is_somebody_else(app: Flask, provider: StandIn, database: Database) -> None:
    come_back(app.test_client(), provider, "google")
    provider.person |= {"email": "other@example.com", "name": "Other Reader"}
    http = app.test_client()
    come_back(http, provider, "github")
    assert "other@example.com" in http.get("/account").text
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(User)) == 2


@pytest.mark.parametrize("name", NAMES)
def test_a_matching_address_is_not_linked_without_proof(
    browser: Browser, provider: StandIn, name: str, database: Database
) -> None:
    provider.person["email"] = browser.person["email"].upper()
    refused = come_back(browser.http, provider, name)
    assert (refused.status_code, "Sign in to it, then connect" in refused.text) == (409, True)
    assert browser.http.get("/account").status_code == 303, "nobody is signed in"
    browser.sign_in(browser.http.get("/account/security"))
    fields = hidden_fields(browser.http.get("/account/security").text)
    assert browser.http.post(f"/account/security/connect/{name}").status_code == 403
    away = browser.http.post(f"/account/security/connect/{name}", data=fields)
    assert browser.http.get(provider.agree(away.location)).location == "/account/security"
    browser.http.delete_cookie("sign_in", path="/")
    assert come_back(browser.http, provider, name).location == "/account"
    assert "connected" in subjects(database)[-1]


@pytest.mark.parametrize("name", NAMES)
def test_an_unverified_address_makes_no_account(app: Flask, provider: StandIn, name: str) -> None:
    provider.person["email_verified"] = False
    assert come_back(app.test_client(), provider, name).status_code == 403


@pytest.mark.parametrize("name", NAMES)
def test_only_the_browser_that_was_sent_away_may_come_back_and_once(app: Flask, provider: StandIn, name: str) -> None:
    http = app.test_client()
    back = provider.agree(http.get(f"/api/v1/auth/{name}").location)
    assert app.test_client().get(back).status_code == 401
    other = "github" if name == "google" else "google"
    assert http.get(back.replace(name, other)).status_code == 401
    assert http.get(back).status_code == 401, "the state was used up"
    assert http.get(f"/api/v1/auth/{name}/callback?code=x").status_code == 401


@pytest.mark.parametrize(
    "forged", [{"nonce": "another"}, {"aud": "another-store"}, {"iss": "https://evil.example"}, {"exp": 1}]
)
def test_an_id_token_for_something_else_is_refused(app: Flask, provider: StandIn, forged: dict[str, Any]) -> None:
    provider.forged = forged
    answer = come_back(app.test_client(), provider, "google")
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (401, False)


@pytest.mark.filterwarnings("ignore:JWS algorithm")
@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS256"])
def test_an_id_token_that_is_not_signed_by_the_provider_is_refused(
    app: Flask, provider: StandIn, algorithm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forger = {"RS256": RSAKey.generate_key(2048, {"kid": "one"}), "HS256": OctKey.generate_key(256, {"kid": "one"})}
    monkeypatch.setattr(provider, "signed_by", forger.get(algorithm, OctKey.generate_key(256)), raising=False)
    monkeypatch.setattr(provider, "algorithm", algorithm)
    assert come_back(app.test_client(), provider, "google").status_code == 401


def test_a_made_up_code_and_a_change_of_mind_are_refused(app: Flask, provider: StandIn) -> None:
    for query in ("code=made-up", "error=access_denied"):
        http = app.test_client()
        state = parse_qs(urlsplit(http.get("/api/v1/auth/google").location).query)["state"][0]
        assert http.get(f"/api/v1/auth/google/callback?{query}&state={state}").status_code == 401


def test_somebody_elses_identity_cannot_be_connected(app: Flask, provider: StandIn, browser: Browser) -> None:
    come_back(app.test_client(), provider, "google")
    browser.sign_in(browser.http.get("/account/security"))
    fields = hidden_fields(browser.http.get("/account/security").text)
    away = browser.http.post("/account/security/connect/google", data=fields)
    assert browser.http.get(provider.agree(away.location)).status_code == 409


def test_the_last_way_in_is_not_removed(app: Flask, provider: StandIn) -> None:
    http = app.test_client()
    come_back(http, provider, "github")
    fields = hidden_fields(http.get("/account/security").text)
    answer = http.post("/account/security/identities/remove", data=fields | {"provider": "github", "subject": "4711"})
    assert answer.status_code == 409


def test_a_provider_that_is_down_is_told(app: Flask, provider: StandIn) -> None:
    authority = app.extensions["authority"]
    gone = authority.config.google.model_copy(update={"url": "http://127.0.0.1:1"})
    app.extensions["authority"] = replace(authority, config=replace(authority.config, google=gone))
    assert app.test_client().get("/api/v1/auth/google").status_code == 502


def test_without_a_client_there_nothing_is_offered(client: FlaskClient) -> None:
    assert client.get("/api/v1/auth/google").status_code == 404
    assert "Google" not in client.get("/account/sign-in").text
