"""Signing out at an app's request, and telling the other apps (OpenID Connect RP-Initiated and Back-Channel Logout)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
import requests
from flask import Flask
from sqlalchemy import func, select, text, update
from werkzeug.test import TestResponse

from auth_service import backchannel
from auth_service.backchannel import send_logouts
from auth_service.config import AuthConfig
from auth_service.domain import logout_notices
from auth_service.models import LogoutNotice
from auth_service.outside import Outside
from common.db import Database, utcnow
from tests.auth.support import ISSUER, Browser, Pkce, authorization, hidden_fields, query, register_client
from tests.support.serving import serving
from tests.support.waiting import eventually

AFTER = "http://127.0.0.1/bye"


@pytest.fixture
def shop(app: Flask, database: Database) -> str:
    return register_client(
        database, token_endpoint_auth_method="none", trusted=True, post_logout_redirect_uris=[AFTER]
    )[0]


def leave(browser: Browser, **parameters: Any) -> TestResponse:
    return browser.http.get("/logout", query_string=parameters)


def is_signed_in(browser: Browser, client_id: str) -> bool:
    return "code" in query(browser.authorize(**authorization(client_id, Pkce(), prompt="none")).location)


def test_a_valid_hint_signs_out_and_leads_back(browser: Browser, shop: str) -> None:
    tokens = browser.tokens(shop)
    answer = leave(browser, id_token_hint=tokens["id_token"], post_logout_redirect_uri=AFTER, state="s&1")
    assert answer.status_code == 303
    assert answer.location == f"{AFTER}?state=s%261"
    assert "sign_in=;" in answer.headers["Set-Cookie"]
    assert not is_signed_in(browser, shop)
    assert browser.refresh(tokens["refresh_token"], shop).json["error"] == "invalid_grant"
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert browser.http.get("/userinfo", headers=header).status_code == 401


def test_a_hint_may_be_posted_from_another_site(browser: Browser, shop: str, app: Flask) -> None:
    tokens = browser.tokens(shop)
    without_cookie = app.test_client()
    form = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": AFTER}
    answer = without_cookie.post("/logout", data=form)
    assert (answer.status_code, answer.location) == (303, AFTER)
    assert not is_signed_in(browser, shop)


def test_without_an_address_a_page_says_so(browser: Browser, shop: str) -> None:
    answer = leave(browser, id_token_hint=browser.tokens(shop)["id_token"])
    assert answer.status_code == 200
    assert "You are signed out" in answer.text
    assert "signed out" in leave(browser).text


@pytest.mark.parametrize("hint", [None, "nonsense", "a.b.c"])
def test_without_a_valid_hint_the_person_is_asked(browser: Browser, shop: str, hint: str | None) -> None:
    browser.tokens(shop)
    parameters = {"client_id": shop, "post_logout_redirect_uri": AFTER, "state": "s"}
    if hint:
        parameters["id_token_hint"] = hint
    page = leave(browser, **parameters)
    assert (page.status_code, page.location) == (200, None)
    assert "Sign out?" in page.text
    assert is_signed_in(browser, shop)
    fields = hidden_fields(page.text)
    stay = browser.http.post("/account/sign-out", data=fields | {"decision": "stay"})
    assert (stay.location, is_signed_in(browser, shop)) == ("/", True)
    answer = browser.http.post("/account/sign-out", data=fields | {"decision": "sign-out"})
    assert answer.location == f"{AFTER}?state=s"
    assert not is_signed_in(browser, shop)


def test_an_access_token_is_no_hint(browser: Browser, shop: str) -> None:
    page = leave(browser, id_token_hint=browser.tokens(shop)["access_token"])
    assert "Sign out?" in page.text
    assert is_signed_in(browser, shop)


def test_a_post_without_a_hint_asks_too(browser: Browser, shop: str) -> None:
    browser.tokens(shop)
    answer = browser.http.post("/logout", data={"client_id": shop, "post_logout_redirect_uri": AFTER})
    assert answer.status_code == 303
    assert answer.location.startswith("/logout?")
    assert "Sign out?" in browser.http.get(answer.location).text


@pytest.mark.parametrize(
    "parameters",
    [
        {"post_logout_redirect_uri": "https://evil.example/"},
        {"post_logout_redirect_uri": "http://127.0.0.1/callback"},
        {"post_logout_redirect_uri": f"{AFTER}/more"},
        {"client_id": "nobody", "post_logout_redirect_uri": AFTER},
        {"client_id": ["SHOP", "SHOP"], "post_logout_redirect_uri": AFTER},
        {"post_logout_redirect_uri": [AFTER, "https://evil.example/"]},
        {"state": "\x00"},
    ],
    ids=str,
)
def test_nobody_is_sent_to_an_unregistered_address(browser: Browser, shop: str, parameters: dict[str, Any]) -> None:
    browser.tokens(shop)
    given = {"client_id": shop} | parameters
    given = {name: [shop, shop] if value == ["SHOP", "SHOP"] else value for name, value in given.items()}
    answer = leave(browser, **given)
    assert (answer.status_code, answer.location) == (400, None)
    assert is_signed_in(browser, shop)


def test_an_address_needs_a_client(browser: Browser, shop: str) -> None:
    assert leave(browser, post_logout_redirect_uri=AFTER).status_code == 400


def test_a_hint_of_another_client(browser: Browser, shop: str, public_client: str) -> None:
    hint = browser.tokens(public_client)["id_token"]
    assert leave(browser, id_token_hint=hint, client_id=shop, post_logout_redirect_uri=AFTER).status_code == 400
    assert is_signed_in(browser, shop)


def test_a_hint_about_somebody_else_does_not_sign_me_out(
    browser: Browser, shop: str, app: Flask, make_user: Any
) -> None:
    other = Browser(app.test_client(), make_user("other"))
    hint = other.tokens(shop)["id_token"]
    browser.tokens(shop)
    page = leave(browser, id_token_hint=hint, post_logout_redirect_uri=AFTER)
    assert "Sign out?" in page.text
    assert is_signed_in(browser, shop)
    assert is_signed_in(other, shop), "nothing ends before the page is answered"
    fields = hidden_fields(page.text) | {"decision": "sign-out"}
    assert browser.http.post("/account/sign-out", data=fields).location == AFTER
    assert not is_signed_in(browser, shop)
    assert is_signed_in(other, shop), "the question was about who is signed in here"


def test_a_hint_that_is_posted_without_the_cookie_leaves_the_browser_its_own(
    browser: Browser, shop: str, app: Flask
) -> None:
    """Sent by another site it comes without; whoever is signed in here may be somebody else."""
    hint = browser.tokens(shop)["id_token"]
    answer = app.test_client().post("/logout", data={"id_token_hint": hint})
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers


def test_the_question_cannot_be_answered_by_a_foreign_form(browser: Browser, shop: str) -> None:
    browser.tokens(shop)
    forged = {"form_proof": "guess", "request": f"client_id={shop}", "decision": "sign-out"}
    assert browser.http.post("/account/sign-out", data=forged).status_code == 403
    assert is_signed_in(browser, shop)


class Listener(HTTPServer):
    """A client's back channel, which answers with the statuses it is told, and keeps silent while it is told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receive)
        self.statuses: list[int] = []
        self.received: list[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/bye"


class _Receive(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.received.append(parse_qs(body)["logout_token"][0])
        self.server.may_answer.wait()
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Silent."""


@contextmanager
def listening() -> Iterator[Listener]:
    with serving(Listener()) as server:
        yield server
        server.may_answer.set()


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as server:
        yield server


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is sent has arrived when the sending returns."""
    monkeypatch.setattr(backchannel, "PATIENCE_SECONDS", 20.0)
    monkeypatch.setattr(backchannel, "_turns", backchannel.Turns())


def told_at(database: Database, url: str) -> str:
    return register_client(
        database, token_endpoint_auth_method="none", trusted=True, backchannel_logout_uri=url,
        backchannel_logout_session_required=True,
    )[0]  # fmt: skip


@pytest.fixture
def told_client(app: Flask, database: Database, listener: Listener) -> str:
    return told_at(database, listener.url)


def test_clients_are_told_of_the_end_of_a_session(
    browser: Browser, shop: str, told_client: str, listener: Listener, database: Database, config: AuthConfig
) -> None:
    hint = browser.tokens(shop)["id_token"]
    theirs = jwt.decode(browser.tokens(told_client)["id_token"], options={"verify_signature": False})
    send_logouts(database, config)
    assert listener.received == []
    leave(browser, id_token_hint=hint)
    send_logouts(database, config)
    send_logouts(database, config)
    assert len(listener.received) == 1
    token = listener.received[0]
    header = jwt.get_unverified_header(token)
    jwks = browser.http.get("/.well-known/jwks.json").json["keys"]
    key = next(jwt.PyJWK(each) for each in jwks if each["kid"] == header["kid"])
    claims = jwt.decode(token, key.key, [header["alg"]], audience=told_client, issuer=ISSUER)
    assert header["typ"] == "logout+jwt"
    assert (claims["sub"], claims["sid"]) == (theirs["sub"], theirs["sid"])
    assert claims["events"] == {"http://schemas.openid.net/event/backchannel-logout": {}}
    assert {"iat", "exp", "jti"} <= claims.keys()
    assert "nonce" not in claims


def test_an_api_sign_out_is_told_too(
    browser: Browser, told_client: str, listener: Listener, database: Database, config: AuthConfig
) -> None:
    header = {"Authorization": f"Bearer {browser.tokens(told_client)['access_token']}"}
    assert browser.http.post("/api/v1/auth/logout", headers=header).status_code == 204
    send_logouts(database, config)
    assert len(listener.received) == 1


def test_a_client_that_does_not_answer_is_asked_again(
    browser: Browser, told_client: str, listener: Listener, database: Database, config: AuthConfig
) -> None:
    listener.statuses = [500, 302, 400, 204]
    leave(browser, id_token_hint=browser.tokens(told_client)["id_token"])
    for attempts in range(1, 4):
        send_logouts(database, config)
        with database.transaction() as session:
            assert session.query(LogoutNotice.attempts).scalar() == attempts
            session.execute(update(LogoutNotice).values(due_at=text("now() - interval '1 second'")))
    send_logouts(database, config)
    with database.read() as session:
        assert session.query(LogoutNotice).count() == 0
    assert len(listener.received) == 4


def test_a_silent_client_holds_up_nobody(
    browser: Browser, told_client: str, listener: Listener, database: Database, config: AuthConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(backchannel, "PATIENCE_SECONDS", 0.05)
    with listening() as silent:
        silent.may_answer.clear()
        others = [told_at(database, silent.url) for _ in range(3)]
        for _ in range(2):
            for each in (*others, told_client):
                tokens = browser.tokens(each)
            leave(browser, id_token_hint=tokens["id_token"])
            sender = threading.Thread(target=send_logouts, args=(database, config))
            sender.start()
            sender.join(2)
            assert not sender.is_alive()
        eventually(lambda: len(listener.received) == 2)
        assert len(silent.received) == 1, "one at a time, and each client is asked once while it is silent"
        silent.may_answer.set()
        eventually(lambda: not backchannel._turns.under_way())


def test_who_did_not_answer_is_left_alone_for_a_while(
    browser: Browser, told_client: str, listener: Listener, database: Database, config: AuthConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(backchannel, "TIMEOUT_SECONDS", 0.05)
    listener.may_answer.clear()
    for _ in range(3):
        leave(browser, id_token_hint=browser.tokens(told_client)["id_token"])
    send_logouts(database, config)
    send_logouts(database, config)
    listener.may_answer.set()
    with database.read() as session:
        notices = session.execute(select(LogoutNotice.attempts, LogoutNotice.due_at <= func.now())).all()
    assert sorted(map(tuple, notices)) == [(0, True), (0, True), (1, False)], "the others were not even tried"
    assert backchannel._turns.left_alone() == [told_client]


def test_two_workers_do_not_send_the_same(
    browser: Browser, told_client: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(browser, id_token_hint=browser.tokens(told_client)["id_token"])
    with database.transaction() as session:
        assert len(logout_notices.claim(session)) == 1
    longest_turn = backchannel.TURN_SECONDS + sum(backchannel.TIMEOUT_SECONDS)
    later = utcnow() + timedelta(seconds=longest_turn + 30)
    monkeypatch.setattr(logout_notices, "utcnow", lambda: later)
    with database.transaction() as session:
        assert logout_notices.claim(session) == []


def test_at_last_it_is_given_up(
    browser: Browser, told_client: str, listener: Listener, database: Database, config: AuthConfig
) -> None:
    listener.statuses = [500] * 20
    leave(browser, id_token_hint=browser.tokens(told_client)["id_token"])
    for _ in range(10):
        send_logouts(database, config)
        with database.transaction() as session:
            session.execute(update(LogoutNotice).values(due_at=text("now() - interval '1 second'")))
    assert len(listener.received) == 8


def test_a_logout_token_is_no_hint_and_no_access(
    browser: Browser, told_client: str, listener: Listener, database: Database, config: AuthConfig
) -> None:
    leave(browser, id_token_hint=browser.tokens(told_client)["id_token"])
    send_logouts(database, config)
    (token,) = listener.received
    assert browser.http.get("/userinfo", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    browser.tokens(told_client)
    assert "Sign out?" in leave(browser, id_token_hint=token).text


def test_nothing_is_sent_into_our_own_networks_however_a_name_resolves(
    listener: Listener,
) -> None:
    """The name was somebody else's when it was registered, and leads to us when it is called."""
    with Outside().session() as session, pytest.raises(requests.ConnectionError):
        session.post(f"http://localhost:{listener.server_port}/bye", data={}, timeout=5)
    assert listener.received == []


def test_a_logout_token_is_signed_as_the_clients_id_tokens_are(
    browser: Browser, database: Database, config: AuthConfig, listener: Listener
) -> None:
    told = register_client(
        database, token_endpoint_auth_method="none", trusted=True, backchannel_logout_uri=listener.url,
        id_token_signed_response_alg="RS256",
    )[0]  # fmt: skip
    header = {"Authorization": f"Bearer {browser.tokens(told)['access_token']}"}
    browser.http.post("/api/v1/auth/logout", headers=header)
    backchannel.send_logouts(database, config)
    assert jwt.get_unverified_header(listener.received[0])["alg"] == "RS256"
