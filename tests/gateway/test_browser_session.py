"""Sessions of browsers through real processes: signing in, reading and writing by cookie, signing out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.browser import Browser
from tests.support.stack import Stack, fresh_stack
from tests.support.waiting import eventually

PROCESSES = ("auth-web", "order-web", "order-stream", "gateway")
WITHIN_SECONDS = 2.0
"""A second, by the contract, and some for a busy machine."""
ADDRESS = {
    "name": "Alice Reader",
    "line1": "1 Book Street",
    "city": "Oxford",
    "postal_code": "OX1 1AA",
    "country": "GB",
}


@pytest.fixture(scope="module")
def store(postgres_url: str) -> Iterator[Stack]:
    with fresh_stack(postgres_url, names=PROCESSES) as stack:
        yield stack


@pytest.fixture
def alice(store: Stack) -> Browser:
    """Signed in at the shop."""
    browser = Browser(store.settings.public_url)
    browser.sign_in(store.accounts["alice"])
    return browser


@pytest.fixture
def staff(store: Stack) -> Browser:
    """The administrator, signed in at the administration."""
    browser = Browser(store.settings.public_url, "/admin")
    browser.sign_in(store.accounts["admin"])
    return browser


def test_somebody_signs_in_and_comes_back_to_where_they_were(store: Stack) -> None:
    browser = Browser(store.settings.public_url)
    answer = browser.sign_in(store.accounts["alice"], "/orders?page=2")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/orders?page=2")
    told = browser.session()
    assert told["authenticated"] is True
    user = told["user"]
    assert (user["name"], user["email"], user["role"]) == ("alice", store.accounts["alice"].email, "customer")
    assert "orders:write" in told["scopes"]
    assert browser.ask("GET", "/api/v1/users/me").json()["id"] == user["id"]


def test_no_token_is_within_reach_of_a_script(alice: Browser) -> None:
    (cookie,) = [each for each in alice.http.cookies if each.name == "shop_session"]
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert cookie.get_nonstandard_attr("SameSite") == "Lax"
    assert len(cookie.name) + len(cookie.value or "") < 4000
    answer = alice.ask("GET", "/bff/session")
    assert "eyJ" not in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_write_needs_the_sessions_token(alice: Browser) -> None:
    refused = alice.ask("POST", "/api/v1/addresses", ADDRESS, X_CSRF_Token="")
    assert (refused.status_code, refused.json()["code"]) == (403, "csrf")
    assert alice.ask("POST", "/api/v1/addresses", ADDRESS).status_code == 201


def test_signing_out_ends_this_session_and_no_other(store: Stack, alice: Browser) -> None:
    elsewhere = Browser(store.settings.public_url)
    elsewhere.sign_in(store.accounts["alice"])
    kept = dict(alice.http.cookies)
    answer = alice.ask("POST", "/bff/logout")
    assert answer.status_code == 200
    assert alice.session() == {"authenticated": False}
    assert elsewhere.session()["authenticated"] is True
    copy = Browser(store.settings.public_url)
    copy.http.cookies.update(kept)
    eventually(lambda: copy.ask("GET", "/api/v1/orders").json().get("code") == "session_ended", within=WITHIN_SECONDS)
    ended = alice.go(answer.json()["end_session_url"])
    assert (ended.status_code, ended.headers["Location"]) == (303, f"{store.settings.public_url}/")


def test_each_portal_has_its_own_session(store: Stack, staff: Browser) -> None:
    assert staff.ask("GET", "/api/v1/admin/users").status_code == 200
    shop = Browser(store.settings.public_url)
    shop.http = staff.http  # the same browser, on the shop's pages
    assert shop.session() == {"authenticated": False}
    assert shop.ask("GET", "/api/v1/orders").status_code == 401
    shop.sign_in(store.accounts["admin"])
    assert "users:manage" not in shop.session()["scopes"]
    assert "users:manage" in staff.session()["scopes"]
