"""The sign-in and registration pages: usable without scripts, and by nobody but their visitor."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from auth_service.app import create_app
from auth_service.config import AuthConfig
from auth_service.domain import throttle
from auth_service.models import SignInSession
from common.db import Database
from tests.auth.conftest import PASSWORD
from tests.auth.support import Browser, Pkce, authorization, hidden_fields


def form(client: FlaskClient, path: str = "/account/sign-in") -> dict[str, str]:
    return hidden_fields(client.get(path).text)


def sign_in(client: FlaskClient, password: str = PASSWORD, **extra: str) -> Any:
    fields = form(client) | {"identifier": "reader", "password": password} | extra
    return client.post("/account/sign-in", data=fields)


def cookies(answer: Any) -> dict[str, str]:
    return {cookie.split("=")[0]: cookie for cookie in answer.headers.getlist("Set-Cookie")}


class Scriptless(HTMLParser):
    """Collects what a strict Content-Security-Policy forbids, and inputs without a label."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.labelled: set[str] = set()
        self.inputs: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "style") or "style" in given or any(name.startswith("on") for name in given):
            self.wrong.append(tag)
        if tag == "label":
            self.labelled.add(given["for"] or "")
        if tag == "input" and given.get("type") != "hidden":
            self.inputs.add(given["id"] or "")


@pytest.mark.parametrize("path", ["/account/sign-in", "/account/register"])
def test_a_page_needs_no_script_and_labels_its_fields(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    page = Scriptless()
    page.feed(answer.text)
    assert page.wrong == []
    assert page.inputs == page.labelled != set()
    assert '<html lang="en">' in answer.text
    assert "width=device-width" in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["Cache-Control"] == "no-store"
    for asset in re.findall(r'(?:href|src)="(/account/static/[^"]+)"', answer.text):
        assert client.get(asset).status_code == 200


def test_the_form_may_lead_to_the_clients_address_and_no_other(browser: Browser, public_client: str) -> None:
    """Chromium applies form-action to the redirects that follow a form."""
    here = "http://127.0.0.1:51004/callback"
    asked = browser.authorize(**authorization(public_client, Pkce(), redirect_uri=here))
    policy = browser.http.get(asked.location).headers["Content-Security-Policy"]
    assert policy.endswith("form-action 'self' http://127.0.0.1:51004")
    hostile = urlencode({"client_id": public_client, "redirect_uri": "https://evil.example; script-src *"})
    page = browser.http.get(f"/account/sign-in?{urlencode({'return_to': f'/authorize?{hostile}'})}")
    assert page.headers["Content-Security-Policy"].endswith("form-action 'self'")


def test_the_cookie_is_for_this_site_and_no_script(client: FlaskClient, user: Any) -> None:
    cookie = cookies(sign_in(client))["sign_in"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie


@pytest.fixture
def https_client(config: AuthConfig, database: Database, user: Any) -> FlaskClient:
    app = create_app(replace(config, public_url="https://books.example"))
    app.extensions["database"].close()
    app.extensions["database"] = database
    return app.test_client()


def test_over_https_cookies_are_bound_to_the_host(https_client: FlaskClient) -> None:
    page = https_client.get("/account/sign-in", base_url="https://books.example")
    fields = hidden_fields(page.text) | {"identifier": "reader", "password": PASSWORD}
    answer = https_client.post("/account/sign-in", data=fields, base_url="https://books.example")
    assert answer.status_code == 303
    for cookie in (cookies(page)["__Host-form"], cookies(answer)["__Host-sign_in"]):
        assert "Secure" in cookie
        assert "Path=/" in cookie
        assert "Domain" not in cookie


def test_a_foreign_form_signs_nobody_in(client: FlaskClient, app: Flask, user: Any) -> None:
    fields = {"identifier": "reader", "password": PASSWORD}
    for proof in ({}, {"form_proof": "guess"}, {"form_proof": form(app.test_client())["form_proof"]}):
        answer = client.post("/account/sign-in", data=fields | proof)
        assert answer.status_code == 403
        assert "sign_in" not in cookies(answer)
    assert client.post("/account/register", data=fields).status_code == 403


def test_wrong_password_and_unknown_name_look_the_same(client: FlaskClient, user: Any) -> None:
    pages = [sign_in(client, "wrong password", identifier=name) for name in ("reader", "nobody")]
    texts = {page.text.replace("reader", "").replace("nobody", "") for page in pages}
    assert ([page.status_code for page in pages], len(texts)) == ([401, 401], 1)
    assert 'role="alert"' in pages[0].text


def test_the_page_is_throttled_like_the_api(client: FlaskClient, user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "MOST_PER_ACCOUNT", 2)
    assert [sign_in(client, "wrong password").status_code for _ in range(3)] == [401, 401, 429]
    assert sign_in(client).headers["Retry-After"]


@pytest.mark.parametrize(
    "given",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/authorize@evil.example",
        "/authorize?x=\r\ny: z",
        "javascript:alert(1)",
        "/api/v1/auth/me",
    ],
)
def test_signing_in_leads_nowhere_else(client: FlaskClient, user: Any, given: str) -> None:
    assert sign_in(client, return_to=given).location == "/"


def test_signing_in_changes_the_cookie_and_ends_another_persons_session(
    client: FlaskClient, make_user: Any, user: Any, database: Database
) -> None:
    first = cookies(sign_in(client))["sign_in"]
    again = cookies(sign_in(client))["sign_in"]
    assert first != again
    make_user("other")
    sign_in(client, identifier="other")
    with database.read() as session:
        live = select(func.count()).select_from(SignInSession).where(SignInSession.ended_at.is_(None))
        assert session.scalar(live) == 1
        assert session.scalar(select(func.count()).select_from(SignInSession)) == 2


def test_registering_signs_in_and_goes_on(client: FlaskClient) -> None:
    fields = form(client, "/account/register?return_to=/authorize?client_id=x") | {
        "username": "newcomer",
        "email": "new@example.com",
        "password": PASSWORD,
    }
    answer = client.post("/account/register", data=fields)
    assert (answer.status_code, answer.location) == (303, "/authorize?client_id=x")
    assert "sign_in" in cookies(answer)


def test_what_was_wrong_stands_at_its_field(client: FlaskClient, user: Any) -> None:
    fields = form(client, "/account/register") | {
        "username": "Reader",
        "email": "new@example.com",
        "password": PASSWORD,
    }
    taken = client.post("/account/register", data=fields)
    assert (taken.status_code, "Username is taken." in taken.text) == (409, True)
    wrong = client.post("/account/register", data=fields | {"email": "x", "password": "password1"})
    assert wrong.status_code == 422
    assert "Mail address must look like" in wrong.text
    assert "Password is one of the most common" in wrong.text
    assert PASSWORD not in taken.text


def test_what_is_typed_is_escaped(client: FlaskClient, user: Any) -> None:
    page = sign_in(client, "wrong password", identifier='"><img src=x onerror=alert(1)>')
    assert "<img src=x" not in page.text
