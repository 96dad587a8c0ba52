"""The gateway exchanges tokens by itself: for tabs at once, between replicas, and when the provider is away."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.sessions.conftest import Aged
from tests.support.browser import Browser
from tests.support.stack import Stack
from tests.support.tokens import claims, sign
from tests.support.waiting import eventually

TABS = 8


def refreshes(store: Stack) -> int:
    """How many requests for tokens the auth service has answered."""
    return store.log("auth-web", lines=100_000).count(" POST /token ")


def all_at_once(tabs: list[Browser]) -> list[requests.Response]:
    with ThreadPoolExecutor(len(tabs)) as pool:
        return list(pool.map(lambda tab: tab.ask("GET", "/api/v1/orders"), tabs))


def test_an_expired_token_is_exchanged_without_anybody_noticing(alice: Browser, aged: Aged) -> None:
    aged(alice)
    before = alice.jar["shop_session"]
    answer = alice.ask("GET", "/api/v1/orders")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert alice.jar["shop_session"] != before
    assert alice.ask("GET", "/api/v1/orders").headers.get("Set-Cookie") is None


def test_a_token_whose_key_was_withdrawn_is_exchanged_too(alice: Browser, aged: Aged) -> None:
    aged(alice, refresh_at=2e9, access_expires_at=2e9, access_token=sign(claims()))
    assert alice.ask("GET", "/api/v1/orders").status_code == 200
    assert alice.session()["user"]["name"] == "alice"


def test_the_csrf_token_lasts_as_long_as_the_session(alice: Browser, aged: Aged) -> None:
    before = alice.session()
    aged(alice)
    after = alice.session()
    assert (after["csrf"], after["user"]) == (before["csrf"], before["user"])
    aged(alice)
    assert alice.ask("PUT", "/api/v1/cart/items", {}).status_code != 403


def test_tabs_that_come_at_once_share_one_exchange(store: Stack, alice: Browser, aged: Aged) -> None:
    aged(alice)
    tabs = [alice.twin() for _ in range(TABS)]
    before = refreshes(store)
    assert {answer.status_code for answer in all_at_once(tabs)} == {200}
    assert refreshes(store) == before + 1
    assert {answer.status_code for answer in all_at_once(tabs)} == {200}


def test_a_tab_that_comes_late_with_the_old_cookie_is_taken_along(store: Stack, alice: Browser, aged: Aged) -> None:
    aged(alice)
    late = alice.twin()
    assert alice.ask("GET", "/api/v1/orders").status_code == 200
    before = refreshes(store)
    assert late.ask("GET", "/api/v1/orders").status_code == 200
    assert refreshes(store) == before


def test_replicas_serve_one_session_and_may_refresh_it_at_once(store: Stack, alice: Browser, aged: Aged) -> None:
    with store.another("gateway", METRICS_PORT="0") as url:
        other = url.replace("127.0.0.1", "localhost")
        for _ in range(3):
            aged(alice)
            tabs = [alice.twin(), alice.twin().at(other)] * 2
            assert {answer.status_code for answer in all_at_once(tabs)} == {200}
            alice.http.cookies.update(tabs[1].http.cookies)  # whichever answer comes last is what the browser keeps
        assert alice.ask("GET", "/api/v1/orders").status_code == 200
        assert alice.at(other).session()["authenticated"] is True


def test_keys_are_rotated_without_signing_anybody_out(store: Stack, alice: Browser, aged: Aged) -> None:
    old, new = store.settings.vault["session_key"], "n" * 40
    with store.another("gateway", METRICS_PORT="0", SESSION_KEYS=f"{new},{old}") as url:
        rotated = alice.at(url.replace("127.0.0.1", "localhost"))
        assert rotated.ask("GET", "/api/v1/orders").status_code == 200
        aged(alice)
        assert rotated.ask("GET", "/api/v1/orders").status_code == 200  # and is sealed anew
        sealed_anew = alice.twin()
    assert sealed_anew.ask("GET", "/api/v1/orders").json()["code"] == "session_ended"
    with store.another("gateway", METRICS_PORT="0", SESSION_KEYS=new) as url:
        assert alice.at(url.replace("127.0.0.1", "localhost")).ask("GET", "/api/v1/orders").status_code == 200


@pytest.fixture
def without_auth(store: Stack) -> Iterator[float]:
    """How long it took to end, in seconds."""
    began = time.monotonic()
    store.kill("auth-web", signal.SIGTERM)
    yield time.monotonic() - began
    store.start("auth-web")
    eventually(lambda: requests.get(f"{store.gateway}/.well-known/jwks.json", timeout=5).status_code == 200)


def test_without_the_provider_nobody_is_signed_out(alice: Browser, aged: Aged, without_auth: float) -> None:
    assert without_auth < 10, "although other processes wait there for what will be revoked"
    assert alice.ask("GET", "/api/v1/orders").status_code == 200
    aged(alice, refresh_at=0.0, access_expires_at=2e9)
    assert alice.ask("GET", "/api/v1/orders").status_code == 200, "its token is still good"
    aged(alice)
    late = alice.ask("GET", "/api/v1/orders")
    assert (late.status_code, late.headers["Retry-After"]) == (503, "1")
    assert alice.session()["user"]["name"] == "alice"
    assert alice.ask("POST", "/bff/logout").status_code == 503
    assert "shop_session" in alice.jar
    page = alice.go("/bff/login?return_to=/orders")
    assert (page.status_code, page.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
