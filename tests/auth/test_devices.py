"""The device grant (RFC 8628): codes, the page on which a person allows them, and patience."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text, update

from auth_service.domain.clients import DEVICE_CODE
from auth_service.models import Consent, DeviceCode
from common.db import Database, utcnow
from tests.auth.support import ISSUER, Browser, hidden_fields, register_client
from tests.auth.test_token import in_parallel


@pytest.fixture
def tv(app: Flask, database: Database) -> str:
    return register_client(
        database, client_name="The TV", token_endpoint_auth_method="none", redirect_uris=[],
        grant_types=[DEVICE_CODE, "refresh_token"], trusted=True,
    )[0]  # fmt: skip


def start(browser: Browser, client_id: str, **form: Any) -> dict[str, Any]:
    answer = browser.http.post("/device_authorization", data={"client_id": client_id} | form)
    assert answer.status_code == 200, answer.json
    return answer.json


def poll(browser: Browser, client_id: str, device_code: str) -> Any:
    form = {"grant_type": DEVICE_CODE, "client_id": client_id, "device_code": device_code}
    return browser.http.post("/token", data=form)


def open_page(browser: Browser, user_code: str = "") -> Any:
    page = browser.http.get("/account/device", query_string={"user_code": user_code})
    if page.status_code == 303:
        page = browser.http.get(browser.sign_in(page).location)
    assert page.status_code == 200
    return page


def enter(browser: Browser, user_code: str) -> Any:
    return browser.http.post("/account/device", data=hidden_fields(open_page(browser).text) | {"user_code": user_code})


def answer(browser: Browser, user_code: str, decision: str) -> Any:
    fields = hidden_fields(enter(browser, user_code).text)
    return browser.http.post("/account/device/decide", data=fields | {"decision": decision})


def test_a_person_allows_a_device(browser: Browser, tv: str, app: Flask) -> None:
    codes = start(browser, tv, scope="openid orders:read")
    assert codes["verification_uri"] == f"{ISSUER}/account/device"
    assert codes["verification_uri_complete"].endswith(codes["user_code"])
    waiting = poll(browser, tv, codes["device_code"])
    assert (waiting.status_code, waiting.json["error"]) == (400, "authorization_pending")
    page = enter(browser, codes["user_code"].lower().replace("-", " "))
    assert "The TV" in page.text
    assert "see your orders" in page.text
    assert "Device connected" in answer(browser, codes["user_code"], "allow").text
    tokens = poll(browser, tv, codes["device_code"])
    assert tokens.status_code == 200, tokens.json
    assert tokens.json["scope"] == "openid orders:read"
    assert {"id_token", "refresh_token"} <= tokens.json.keys()
    assert poll(browser, tv, codes["device_code"]).json["error"] == "invalid_grant"
    assert browser.refresh(tokens.json["refresh_token"], tv).status_code == 200


def test_the_link_fills_the_code_in_and_sends_nothing(browser: Browser, tv: str) -> None:
    codes = start(browser, tv)
    page = open_page(browser, codes["user_code"])
    assert f'value="{codes["user_code"]}"' in page.text
    assert poll(browser, tv, codes["device_code"]).json["error"] == "authorization_pending"


def test_a_device_outlives_the_browsers_sign_in(browser: Browser, tv: str) -> None:
    codes = start(browser, tv, scope="openid")
    answer(browser, codes["user_code"], "allow")
    tokens = poll(browser, tv, codes["device_code"]).json
    fields = hidden_fields(browser.http.get("/logout").text)
    browser.http.post("/account/sign-out", data=fields | {"decision": "sign-out"})
    assert browser.refresh(tokens["refresh_token"], tv).status_code == 200


def test_an_allowed_app_is_among_the_connected_ones_and_can_be_disconnected(
    browser: Browser, database: Database
) -> None:
    app_id = register_client(
        database, client_name="Somebody's TV", token_endpoint_auth_method="none", redirect_uris=[],
        grant_types=[DEVICE_CODE, "refresh_token"], scope="openid orders:read books:write",
    )[0]  # fmt: skip
    codes = start(browser, app_id)
    answer(browser, codes["user_code"], "allow")
    tokens = poll(browser, app_id, codes["device_code"]).json
    with database.read() as session:
        assert session.query(Consent.client_id, Consent.scope).all() == [(app_id, "openid orders:read")]
    page = browser.http.get("/account/apps")
    assert "Somebody&#39;s TV" in page.text
    browser.http.post("/account/apps/revoke", data=hidden_fields(page.text))
    assert browser.refresh(tokens["refresh_token"], app_id).json["error"] == "invalid_grant"


def test_what_is_denied_or_the_stores_own_is_no_connected_app(browser: Browser, tv: str, database: Database) -> None:
    foreign = register_client(
        database, token_endpoint_auth_method="none", redirect_uris=[], grant_types=[DEVICE_CODE]
    )[0]  # fmt: skip
    for client_id, decision in ((foreign, "deny"), (tv, "allow")):
        answer(browser, start(browser, client_id)["user_code"], decision)
    assert "There are none" in browser.http.get("/account/apps").text


def test_a_denial(browser: Browser, tv: str) -> None:
    codes = start(browser, tv)
    assert "Device refused" in answer(browser, codes["user_code"], "deny").text
    assert poll(browser, tv, codes["device_code"]).json["error"] == "access_denied"


def test_who_asks_too_often_is_slowed_down(browser: Browser, tv: str, database: Database) -> None:
    device_code = start(browser, tv)["device_code"]
    errors = [poll(browser, tv, device_code).json["error"] for _ in range(3)]
    assert errors == ["authorization_pending", "slow_down", "slow_down"]
    with database.transaction() as session:
        assert session.query(DeviceCode.interval).scalar() == 15
        session.execute(update(DeviceCode).values(polled_at=DeviceCode.polled_at - text("interval '16 seconds'")))
    assert poll(browser, tv, device_code).json["error"] == "authorization_pending"


def test_codes_expire(browser: Browser, tv: str, database: Database) -> None:
    codes = start(browser, tv)
    with database.transaction() as session:
        session.execute(update(DeviceCode).values(expires_at=utcnow()))
    assert poll(browser, tv, codes["device_code"]).json["error"] == "expired_token"
    assert enter(browser, codes["user_code"]).status_code == 400


def test_a_device_code_is_the_clients_and_no_other_thing(browser: Browser, tv: str, database: Database) -> None:
    other = register_client(database, token_endpoint_auth_method="none", redirect_uris=[], grant_types=[DEVICE_CODE])[0]
    codes = start(browser, tv)
    for client_id, code in ((other, codes["device_code"]), (tv, codes["user_code"]), (tv, "nonsense")):
        assert poll(browser, client_id, code).json["error"] == "invalid_grant"


def test_one_of_many_gets_the_tokens(browser: Browser, tv: str, app: Flask) -> None:
    codes = start(browser, tv)
    answer(browser, codes["user_code"], "allow")
    form = {"grant_type": DEVICE_CODE, "client_id": tv, "device_code": codes["device_code"]}
    statuses = in_parallel(6, lambda _: app.test_client().post("/token", data=form).status_code)
    assert sorted(statuses) == [200] + [400] * 5


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"scope": "users:manage"}, "invalid_scope"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"client_id": None}, "invalid_client"),
        ({"scope": ["openid", "email"]}, "invalid_request"),
        ({"resource": "https://evil.example/"}, "invalid_target"),
    ],
)
def test_what_a_device_cannot_ask(browser: Browser, tv: str, form: dict[str, Any], error: str) -> None:
    sent = {name: value for name, value in ({"client_id": tv} | form).items() if value is not None}
    assert browser.http.post("/device_authorization", data=sent).json["error"] == error


def test_the_grant_has_to_be_registered(browser: Browser, public_client: str) -> None:
    refused = browser.http.post("/device_authorization", data={"client_id": public_client})
    assert (refused.status_code, refused.json["error"]) == (400, "unauthorized_client")
    assert poll(browser, public_client, "x").json["error"] == "unauthorized_client"


def test_guessing_codes_is_slow(browser: Browser, tv: str) -> None:
    statuses = [enter(browser, "BCDF-GHJK").status_code for _ in range(10)]
    assert statuses == [400] * 8 + [429] * 2
    assert enter(browser, start(browser, tv)["user_code"]).status_code == 429


def test_the_decision_is_the_persons_own(browser: Browser, tv: str) -> None:
    codes = start(browser, tv)
    fields = hidden_fields(enter(browser, codes["user_code"]).text)
    forged = fields | {"decision": "allow", "form_proof": "guess"}
    assert browser.http.post("/account/device/decide", data=forged).status_code == 403
    assert poll(browser, tv, codes["device_code"]).json["error"] == "authorization_pending"


@pytest.mark.parametrize("code", ["", "\x00", "'", "é", "x" * 5000, "<script>"])
def test_odd_codes(browser: Browser, tv: str, code: str) -> None:
    page = enter(browser, code)
    assert page.status_code == 400
    assert "<script>" not in page.text
