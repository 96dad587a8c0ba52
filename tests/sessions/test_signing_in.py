"""Sessions of browsers through real processes: signing in, reading and writing by cookie, signing out."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlsplit

import pytest

from tests.sessions.conftest import Aged
from tests.support.browser import Browser
from tests.support.shopper import Staff
from tests.support.stack import Stack
from tests.support.waiting import eventually

WITHIN_SECONDS = 2.0
"""A second, by the contract, and some for a busy machine."""
ADDRESS = {
    "name": "Alice Reader",
    "line1": "1 Book Street",
    "city": "Oxford",
    "postal_code": "OX1 1AA",
    "country": "GB",
}


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


@pytest.mark.parametrize(
    "return_to",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/%2F/evil.example",
        "/%2fevil.example",
        "/%5Cevil.example",
        "\\\\evil.example",
        "/..//evil.example",
        "/./evil",
        "javascript:alert(1)",
        "evil.example",
        "/\tevil.example",
        "/\nevil.example",
        "/x\r\nSet-Cookie: a=b",
        "/bücher",
        "",
        "/bff/login",
        "/bff/logout?x=1",
        "/" + "a" * 1000,
    ],
)
def test_nobody_is_sent_elsewhere_after_signing_in(store: Stack, return_to: str) -> None:
    answer = Browser(store.settings.public_url).go(f"/bff/login?return_to={quote(return_to, safe='')}")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert "Set-Cookie" not in answer.headers


def test_the_request_is_pushed_and_says_nothing_in_the_address(store: Stack) -> None:
    answer = Browser(store.settings.public_url).go("/bff/login?return_to=/admin/orders")
    asked = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert asked.keys() == {"client_id", "request_uri"}
    assert asked["client_id"] == ["administration"]


def test_a_callback_with_somebody_elses_code_signs_nobody_in(store: Stack, alice: Browser) -> None:
    """Login CSRF: the attacker begins a sign-in as themselves, and has the victim's browser finish it."""
    attacker = Browser(store.settings.public_url)
    callback = attacker.callback(store.accounts["bob"])
    stranger = Browser(store.settings.public_url)
    answer = stranger.go(callback)
    assert answer.status_code == 400
    assert "Sign in" in answer.text
    assert "Location" not in answer.headers
    assert stranger.session() == {"authenticated": False}
    assert alice.go(callback).status_code == 400
    assert alice.session()["user"]["name"] == "alice"


def test_a_callback_works_once_and_says_so_with_a_way_on(store: Stack) -> None:
    browser = Browser(store.settings.public_url)
    callback = browser.callback(store.accounts["alice"], "/orders?page=2")
    assert browser.go(callback).status_code == 303
    again = browser.go(callback)
    assert (again.status_code, again.headers["Content-Type"]) == (400, "text/html; charset=utf-8")
    assert "script" not in again.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "change",
    [
        lambda query: query.replace("iss=", "iss=https%3A%2F%2Fevil.example"),
        lambda query: query.partition("&iss=")[0],
        lambda query: query.replace("code=", "code=x"),
        lambda query: query.replace("code=", "error="),
        lambda query: query.replace("state=", "state=x"),
        lambda _query: "",
    ],
)
def test_an_answer_that_is_not_the_providers_signs_nobody_in(store: Stack, change: object) -> None:
    browser = Browser(store.settings.public_url)
    callback = browser.callback(store.accounts["alice"], "/orders?page=2")
    answer = browser.go(f"/bff/callback?{change(urlsplit(callback).query)}")  # type: ignore[operator]
    assert answer.status_code == 400
    assert "/bff/login?return_to=" in answer.text
    assert browser.session() == {"authenticated": False}


def test_sign_ins_that_were_left_do_not_fill_the_browser(store: Stack) -> None:
    browser = Browser(store.settings.public_url)
    for _ in range(12):
        assert browser.go("/bff/login").status_code == 302
    assert len([name for name in browser.jar if name.startswith("login_")]) <= 3
    browser.sign_in(store.accounts["alice"])
    assert browser.session()["authenticated"] is True


def test_two_tabs_may_sign_in_at_once(store: Stack) -> None:
    browser = Browser(store.settings.public_url)
    first = browser.callback(store.accounts["alice"], "/cart")
    second = browser.callback(store.accounts["alice"], "/orders")
    assert browser.go(first).headers["Location"] == "/cart"
    assert browser.go(second).headers["Location"] == "/orders"
    assert browser.session()["authenticated"] is True


def test_a_new_sign_in_ends_the_session_that_it_replaces(store: Stack, alice: Browser) -> None:
    before = alice.twin()
    alice.sign_in(store.accounts["alice"])
    assert alice.session()["authenticated"] is True
    eventually(lambda: not before.session()["authenticated"], within=WITHIN_SECONDS)


def test_what_is_no_session_of_ours_is_signed_out_cleanly(store: Stack, alice: Browser, aged: Aged) -> None:
    good, name = alice.jar["shop_session"], "shop_session"
    staffs = Browser(store.settings.public_url, "/admin")
    staffs.sign_in(store.accounts["admin"])
    wrong = {
        "tampered": good[:-9] + ("A" if good[-9] != "A" else "B") + good[-8:],
        "tampered at the beginning": ("A" if good[0] != "A" else "B") + good[1:],
        "truncated": good[: len(good) // 2],
        "very short": good[:5],
        "empty": "",
        "no base64": "!" * 40,
        "too long": good + "A" * 3000,
        "of the other portal": staffs.jar["admin_session"],
        "a token": "eyJhbGciOiJub25lIn0.e30.",
    }
    for kind, value in wrong.items():
        alice.jar[name] = value
        twin = alice.twin()
        refused = alice.ask("GET", "/api/v1/orders")
        assert (refused.status_code, refused.json()["code"]) == (401, "session_ended"), kind
        assert name not in alice.jar, kind
        assert alice.ask("GET", "/api/v1/orders").json()["code"] == "unauthorized", kind
        assert twin.session() == {"authenticated": False}, kind
        assert name not in twin.jar, kind
        twin.http.cookies.set(name, value, domain="localhost.local", path="/")
        assert twin.ask("POST", "/bff/logout").status_code == 200, kind
        alice.http.cookies.set(name, good, domain="localhost.local", path="/")
    assert alice.ask("GET", "/api/v1/orders").status_code == 200
    aged(alice, expires_at=1.0)
    assert alice.ask("GET", "/api/v1/orders").json()["code"] == "session_ended"


def test_a_cookie_of_the_shop_is_nobody_on_an_administrations_path(store: Stack) -> None:
    browser = Browser(store.settings.public_url)
    browser.sign_in(store.accounts["admin"])
    refused = browser.ask("GET", "/api/v1/admin/users")
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
    assert browser.ask("GET", "/api/v1/orders").status_code == 200


FOREIGN = {
    "no token": {"X_CSRF_Token": ""},
    "another token": {"X_CSRF_Token": "x" * 32},
    "another origin": {"Origin": "https://evil.example"},
    "an opaque origin": {"Origin": "null"},
    "another scheme": {"Origin": "https://localhost"},
    "another site": {"Sec_Fetch_Site": "cross-site"},
    "a sibling": {"Sec_Fetch_Site": "same-site"},
    "a typed address": {"Sec_Fetch_Site": "none"},
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_write_that_no_page_of_ours_made_is_refused(alice: Browser, kind: str) -> None:
    for method, path in [("POST", "/api/v1/addresses"), ("DELETE", "/api/v1/cart"), ("POST", "/bff/logout")]:
        refused = alice.ask(method, path, ADDRESS, **FOREIGN[kind])
        assert (refused.status_code, refused.json()["code"]) == (403, "csrf")
    assert alice.session()["authenticated"] is True


def test_a_client_without_fetch_metadata_needs_the_token_only(alice: Browser) -> None:
    assert alice.ask("POST", "/api/v1/addresses", ADDRESS, Origin="", Sec_Fetch_Site="").status_code == 201


def test_another_origins_page_reads_as_nobody(alice: Browser) -> None:
    assert alice.ask("GET", "/api/v1/orders", Origin="https://evil.example").status_code == 401


def test_a_token_goes_before_a_cookie(store: Stack, alice: Browser, admin: Staff) -> None:
    authorization = str(admin.http.headers["Authorization"])
    me = alice.ask("GET", "/api/v1/users/me", Authorization=authorization)
    assert me.json()["username"] == "admin"
    made = alice.ask("POST", "/api/v1/addresses", ADDRESS, Authorization=authorization, X_CSRF_Token="")
    assert made.status_code == 201
    assert alice.ask("GET", "/api/v1/users/me", Authorization="Bearer nonsense").status_code == 401
