"""Sessions by JSON, and the pages of who is signed in: home, password, devices, connected apps."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from auth_service.api.account_pages import device_name
from auth_service.domain import consents
from auth_service.domain.clients import DEVICE_CODE
from auth_service.models import Client, User
from common.db import Database
from tests.auth.support import Browser, Pkce, authorization, hidden_fields, query, register_client

API = "/api/v1/auth"
PAGES = ["/account", "/account/password", "/account/devices", "/account/apps", "/account/security"]


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


@pytest.fixture
def inside(browser: Browser) -> Browser:
    browser.sign_in(browser.http.get("/account"))
    return browser


def test_sessions_are_listed_and_ended(client: FlaskClient, user: Any, sign_in: Any, make_user: Any) -> None:
    mine, other, stranger = sign_in(user), sign_in(user), sign_in(make_user("other"))
    listed = client.get(f"{API}/sessions", headers=bearer(mine)).json["items"]
    assert [each["is_current"] for each in listed] == [False, True]
    assert listed[0]["client"] == "Bookstore"
    assert listed[0]["user_agent"].startswith("Werkzeug/")
    address = f"{API}/sessions/{listed[0]['id']}"
    assert client.delete(address, headers=bearer(stranger)).status_code == 404
    assert client.delete(address, headers=bearer(mine)).status_code == 204
    assert client.delete(address, headers=bearer(mine)).status_code == 404
    assert client.get(f"{API}/me", headers=bearer(other)).status_code == 401
    assert len(client.get(f"{API}/sessions?limit=1", headers=bearer(mine)).json["items"]) == 1


def test_signing_out_everywhere_ends_every_session_and_no_account(client: FlaskClient, user: Any, sign_in: Any) -> None:
    sessions = [sign_in(user) for _ in range(3)]
    assert client.post(f"{API}/logout-all", headers=bearer(sessions[0])).status_code == 204
    for each in sessions:
        assert client.get(f"{API}/me", headers=bearer(each)).status_code == 401
        assert client.post(f"{API}/refresh", json={"refresh_token": each["refresh_token"]}).status_code == 401
    assert sign_in(user)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_sends_strangers_to_sign_in_and_back(browser: Browser, path: str) -> None:
    asked = browser.http.get(path)
    assert browser.sign_in(asked).location == path
    page = browser.http.get(path)
    assert page.status_code == 200
    assert 'href="/logout"' in page.text
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert page.headers["Cache-Control"] == "no-store"
    assert not re.search(r"<script>|style=|\son\w+=", page.text)


def test_the_password_page_changes_it(inside: Browser) -> None:
    fields = hidden_fields(inside.http.get("/account/password").text)
    wrong = inside.http.post(
        "/account/password", data=fields | {"current_password": "not this", "password": "another walk at dawn"}
    )
    assert (wrong.status_code, "Current password is wrong" in wrong.text) == (403, True)
    right = {"current_password": inside.person["password"], "password": "another walk at dawn"}
    assert inside.http.post("/account/password", data=right).status_code == 403, "no proof of our form"
    done = inside.http.post("/account/password", data=fields | right)
    assert "Your password is changed" in done.text
    assert inside.http.get("/account").status_code == 200


def test_devices_are_shown_and_signed_out(inside: Browser, sign_in: Any) -> None:
    tokens = sign_in(inside.person)
    page = inside.http.get("/account/devices")
    assert page.text.count("this device") == 1
    (path,) = re.findall(r'action="(/account/devices/[0-9a-f-]{36}/end)"', page.text)
    assert inside.http.post(path).status_code == 403
    assert inside.http.post(path, data=hidden_fields(page.text)).location == "/account/devices"
    assert inside.http.get(f"{API}/me", headers=bearer(tokens)).status_code == 401
    again = sign_in(inside.person)
    inside.http.post("/account/devices/end-others", data=hidden_fields(page.text))
    assert inside.http.get(f"{API}/me", headers=bearer(again)).status_code == 401
    assert inside.http.get("/account/devices").status_code == 200


def test_a_connected_app_is_shown_and_disconnected(inside: Browser, database: Database) -> None:
    client_id, _ = register_client(database, token_endpoint_auth_method="none", client_name="<b>Lists</b>")
    pkce = Pkce()
    asked = inside.authorize(**authorization(client_id, pkce))
    allowed = inside.http.post("/account/consent", data=hidden_fields(asked.text) | {"decision": "allow"})
    tokens = inside.redeem(query(allowed.location)["code"], client_id, pkce).json
    page = inside.http.get("/account/apps")
    assert "&lt;b&gt;Lists&lt;/b&gt;" in page.text
    assert inside.http.post("/account/apps/revoke", data=hidden_fields(page.text)).status_code == 303
    assert "There are none" in inside.http.get("/account/apps").text
    assert inside.http.get("/userinfo", headers=bearer(tokens)).status_code == 401
    assert inside.authorize(**authorization(client_id, Pkce())).status_code == 200, "asks again"


def disconnect(inside: Browser, client_id: str) -> None:
    fields = hidden_fields(inside.http.get("/account/apps").text) | {"client_id": client_id}
    assert inside.http.post("/account/apps/revoke", data=fields).status_code == 303


def test_a_disconnected_app_cannot_redeem_its_code(inside: Browser, database: Database) -> None:
    client_id, _ = register_client(database, token_endpoint_auth_method="none")
    pkce = Pkce()
    asked = inside.authorize(**authorization(client_id, pkce))
    allowed = inside.http.post("/account/consent", data=hidden_fields(asked.text) | {"decision": "allow"})
    disconnect(inside, client_id)
    refused = inside.redeem(query(allowed.location)["code"], client_id, pkce)
    assert (refused.status_code, refused.json["error"]) == (400, "invalid_grant")


def test_a_disconnected_device_gets_nothing(inside: Browser, database: Database) -> None:
    client_id, _ = register_client(
        database, token_endpoint_auth_method="none", redirect_uris=[], grant_types=[DEVICE_CODE], trusted=True
    )
    codes = inside.http.post("/device_authorization", data={"client_id": client_id}).json
    typed = {"user_code": codes["user_code"], "decision": "allow"}
    fields = hidden_fields(inside.http.get("/account/device").text) | typed
    assert inside.http.post("/account/device/decide", data=fields).status_code == 200
    form = {"grant_type": DEVICE_CODE, "client_id": client_id, "device_code": codes["device_code"]}
    with database.transaction() as session:
        consents.withdraw(session, session.scalars(select(User.id)).one(), client_id)
    refused = inside.http.post("/token", data=form)
    assert (refused.status_code, refused.json["error"]) == (400, "invalid_grant")


def test_what_is_asked_for_while_disconnecting_waits(inside: Browser, database: Database) -> None:
    """A code that rests on the consent is either seen by the withdrawal, or asked for anew."""
    client_id, _ = register_client(database, token_endpoint_auth_method="none")
    asked = inside.authorize(**authorization(client_id, Pkce()))
    inside.http.post("/account/consent", data=hidden_fields(asked.text) | {"decision": "allow"})
    with database.transaction() as session:
        user_id = session.scalars(select(User.id)).one()
        assert not consents.is_needed(session, user_id, session.get_one(Client, client_id), "openid")
        with database.transaction() as other:
            other.execute(text("SET LOCAL lock_timeout = '50ms'"))
            with pytest.raises(OperationalError, match="lock"):
                consents.withdraw(other, user_id, client_id)


def test_devices_are_named_in_words() -> None:
    chrome = (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36"
    )
    assert device_name(chrome) == "Chrome on Windows"
    assert (
        device_name("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18 Safari/604")
        == "Safari on iPhone"
    )
    assert (device_name("curl/8"), device_name("")) == ("curl/8", "Unknown device")


def allowed(inside: Browser, client_id: str, scope: str) -> dict[str, Any]:
    """The tokens of an app that the person has just allowed this."""
    pkce = Pkce()
    answer = inside.authorize(**authorization(client_id, pkce, scope=scope))
    if answer.status_code == 200:
        answer = inside.http.post("/account/consent", data=hidden_fields(answer.text) | {"decision": "allow"})
    return inside.redeem(query(answer.location)["code"], client_id, pkce).json


@pytest.mark.parametrize("trusted", [True, False])
def test_an_app_with_offline_access_outlives_the_sign_out_and_ends_when_disconnected(
    inside: Browser, database: Database, trusted: bool
) -> None:
    scope = "openid profile offline_access"
    client_id, _ = register_client(database, token_endpoint_auth_method="none", scope=scope, trusted=trusted)
    away = allowed(inside, client_id, scope)
    here = allowed(inside, client_id, "openid")
    question = hidden_fields(inside.http.get("/logout").text)
    assert inside.http.post("/account/sign-out", data=question | {"decision": "sign-out"}).status_code == 200
    assert inside.http.get("/userinfo", headers=bearer(here)).status_code == 401
    assert inside.refresh(here["refresh_token"], client_id).status_code == 400
    assert inside.http.get("/userinfo", headers=bearer(away)).json["preferred_username"] == "reader"
    renewed = inside.refresh(away["refresh_token"], client_id).json
    assert inside.http.get("/userinfo", headers=bearer(renewed)).status_code == 200
    inside.sign_in(inside.http.get("/account"))
    assert "stay connected while you are away" in inside.http.get("/account/apps").text
    disconnect(inside, client_id)
    assert inside.http.get("/userinfo", headers=bearer(renewed)).status_code == 401
    assert inside.refresh(renewed["refresh_token"], client_id).status_code == 400
    assert "There are none" in inside.http.get("/account/apps").text


def test_signing_out_everywhere_ends_what_outlives_a_sign_out(
    inside: Browser, database: Database, sign_in: Any
) -> None:
    scope = "openid offline_access"
    client_id, _ = register_client(database, token_endpoint_auth_method="none", scope=scope)
    away = allowed(inside, client_id, scope)
    question = hidden_fields(inside.http.get("/logout").text)
    inside.http.post("/account/sign-out", data=question | {"decision": "sign-out"})
    assert inside.http.post(f"{API}/logout-all", headers=bearer(sign_in(inside.person))).status_code == 204
    assert inside.refresh(away["refresh_token"], client_id).status_code == 400
    assert inside.http.get("/userinfo", headers=bearer(away)).status_code == 401
