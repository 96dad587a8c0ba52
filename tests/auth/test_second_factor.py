"""The second factor: authenticator apps and recovery codes, by JSON and by the pages."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import jwt
import pyotp
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from auth_service.api import authority
from auth_service.domain import second_factor
from auth_service.models import RecoveryCode, SignInSession, Totp
from common.assurance import TWO_FACTORS
from common.db import Database, utcnow
from tests.auth.letters import subjects
from tests.auth.support import Browser, Pkce, authorization, hidden_fields, query

API = "/api/v1/auth"


class Clock:
    """Stands at a step of its own, so that codes can be told apart."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = time.time()
        monkeypatch.setattr(second_factor, "time", self)

    def time(self) -> float:
        return self.now

    def code(self, secret: str, steps: int = 0) -> str:
        return pyotp.TOTP(secret).generate_otp(int(self.now) // 30 + steps)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def mine(user: Any, sign_in: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {sign_in(user)['access_token']}"}


@pytest.fixture
def enrolled(client: FlaskClient, mine: dict[str, str], clock: Clock) -> dict[str, Any]:
    secret = client.post(f"{API}/mfa/totp", headers=mine).json["secret"]
    answer = client.post(f"{API}/mfa/totp/confirm", json={"code": clock.code(secret, -1)}, headers=mine)
    assert answer.status_code == 200, answer.json
    return {"secret": secret, "codes": answer.json["recovery_codes"]}


@pytest.fixture
def login(client: FlaskClient, user: Any) -> Any:
    def attempt(otp: str | None = None) -> Any:
        body = {"identifier": user["username"], "password": user["password"]}
        return client.post(f"{API}/login", json=body | ({"otp": otp} if otp is not None else {}))

    return attempt


def test_enrolling_shows_the_secret_and_counts_only_once_confirmed(
    client: FlaskClient, mine: dict[str, str], login: Any, clock: Clock
) -> None:
    begun = client.post(f"{API}/mfa/totp", headers=mine)
    assert begun.headers["Cache-Control"] == "no-store"
    assert begun.json["otpauth_uri"].startswith("otpauth://totp/Bookstore:reader?")
    assert begun.json["qr_svg"].startswith("<svg")
    assert login().status_code == 200
    wrong = client.post(f"{API}/mfa/totp/confirm", json={"code": "000000"}, headers=mine)
    assert (wrong.status_code, wrong.json["errors"][0]["field"]) == (422, "code")


def test_signing_in_takes_a_code(
    client: FlaskClient, enrolled: Any, login: Any, clock: Clock, database: Database
) -> None:
    assert (login().status_code, login().json["code"]) == (401, "otp_required")
    assert login("123").json["code"] == "invalid_otp"
    tokens = login(clock.code(enrolled["secret"]))
    claims = jwt.decode(tokens.json["access_token"], options={"verify_signature": False})
    assert claims["amr"] == ["pwd", "otp", "mfa"]
    assert claims["acr"] == "urn:bookstore:acr:2fa"
    assert subjects(database) == ["Two-step sign-in is on"]


def test_a_code_counts_once(app: Flask, enrolled: Any, user: Any, clock: Clock) -> None:
    code = clock.code(enrolled["secret"])
    body = {"identifier": user["username"], "password": user["password"], "otp": code}
    with ThreadPoolExecutor(4) as threads:
        jobs = [threads.submit(lambda: app.test_client().post(f"{API}/login", json=body).status_code) for _ in range(4)]
    assert sorted(job.result() for job in jobs) == [200, 401, 401, 401]


def test_the_code_of_the_confirmation_does_not_sign_in(enrolled: Any, login: Any, clock: Clock) -> None:
    assert login(clock.code(enrolled["secret"], -1)).status_code == 401


def test_codes_cannot_be_guessed(enrolled: Any, login: Any, clock: Clock) -> None:
    assert [login("000000").status_code for _ in range(9)] == [401] * 8 + [429]
    assert login(clock.code(enrolled["secret"])).status_code == 429


def test_a_recovery_code_counts_once_and_is_told_of(enrolled: Any, login: Any, database: Database) -> None:
    code = enrolled["codes"][0]
    assert len(set(enrolled["codes"])) == 10
    assert login(code.upper().replace("-", " ")).status_code == 200
    assert login(code).status_code == 401
    assert subjects(database)[-1] == "A recovery code was used"


def test_nothing_that_lets_somebody_in_is_kept_in_clear(enrolled: Any, database: Database) -> None:
    with database.read() as session:
        assert enrolled["secret"].encode() not in bytes(session.scalars(select(Totp)).one().secret)
        kept = {bytes(each.code_hash) for each in session.scalars(select(RecoveryCode))}
        assert not kept & {code.encode() for code in enrolled["codes"]}


def test_factors_are_changed_shortly_after_signing_in_only(
    client: FlaskClient, mine: dict[str, str], login: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the person has signed in elsewhere since makes an old token no fresher (RFC 9470)."""
    monkeypatch.setattr(authority, "utcnow", lambda: utcnow() + timedelta(hours=1))
    assert login().status_code == 200
    refused = client.post(f"{API}/mfa/totp", headers=mine)
    assert refused.status_code == 401
    assert 'error="insufficient_user_authentication", max_age="900"' in refused.headers["WWW-Authenticate"]
    assert client.delete(f"{API}/mfa/totp", headers=mine).status_code == 401


def test_it_can_be_removed(
    client: FlaskClient, mine: dict[str, str], enrolled: Any, clock: Clock, login: Any, database: Database
) -> None:
    refused = client.delete(f"{API}/mfa/totp", headers=mine)
    assert (refused.status_code, refused.json["code"]) == (401, "second_factor_required")
    sure = {"Authorization": f"Bearer {login(clock.code(enrolled['secret'])).json['access_token']}"}
    assert client.post(f"{API}/mfa/totp", headers=sure).status_code == 409
    assert client.delete(f"{API}/mfa/totp", headers=sure).status_code == 204
    assert client.delete(f"{API}/mfa/totp", headers=sure).status_code == 409
    assert login().status_code == 200
    assert subjects(database)[-1] == "Two-step sign-in is off"


def test_the_page_asks_for_the_code_before_anybody_is_signed_in(
    browser: Browser, enrolled: Any, clock: Clock, public_client: str
) -> None:
    http = browser.http
    fields = hidden_fields(http.get("/account/sign-in?return_to=/account").text)
    first = http.post(
        "/account/sign-in", data=fields | {"identifier": "reader", "password": browser.person["password"]}
    )
    assert first.location == "/account/second-factor?return_to=%2Faccount"
    assert http.get("/account").location.startswith("/account/sign-in")
    fields = hidden_fields(http.get(first.location).text)
    wrong = http.post("/account/second-factor", data=fields | {"code": "000000"})
    assert (wrong.status_code, 'role="alert"' in wrong.text) == (401, True)
    assert http.post("/account/second-factor", data={"code": clock.code(enrolled["secret"])}).status_code == 403
    done = http.post("/account/second-factor", data=fields | {"code": clock.code(enrolled["secret"])})
    assert (done.status_code, done.location) == (303, "/account")
    assert http.get("/account").status_code == 200


def test_without_the_first_step_there_is_no_second(client: FlaskClient, enrolled: Any, clock: Clock) -> None:
    fields = hidden_fields(client.get("/account/second-factor").text)
    answer = client.post("/account/second-factor", data=fields | {"code": clock.code(enrolled["secret"])})
    assert answer.location.startswith("/account/sign-in")


@pytest.fixture
def inside_with_a_password_only(browser: Browser, public_client: str, enrolled: Any, database: Database) -> Browser:
    """Signed in before the second factor was set up."""
    second = browser.sign_in(browser.http.get("/account"))
    fields = hidden_fields(browser.http.get(second.location).text)
    browser.http.post("/account/second-factor", data=fields | {"code": enrolled["codes"][0]})
    with database.transaction() as session:
        session.execute(update(SignInSession).values(amr=["pwd"]))
    return browser


def essential(*levels: str) -> str:
    return json.dumps({"id_token": {"acr": {"essential": True, "values": list(levels)}}})


@pytest.mark.parametrize(
    "asked", [{"acr_values": f"urn:other {TWO_FACTORS}"}, {"claims": essential(TWO_FACTORS)}], ids=["wish", "demand"]
)
def test_a_client_that_asks_for_two_factors_makes_the_person_step_up(
    inside_with_a_password_only: Browser, public_client: str, enrolled: Any, clock: Clock, asked: dict[str, str]
) -> None:
    browser, pkce = inside_with_a_password_only, Pkce()
    stopped = browser.authorize(**authorization(public_client, pkce, **asked))
    assert stopped.location.startswith("/account/step-up?return_to=%2Fauthorize")
    code_page = browser.http.get(browser.http.get(stopped.location).location)
    fields = hidden_fields(code_page.text)
    stepped = browser.http.post("/account/second-factor", data=fields | {"code": clock.code(enrolled["secret"])})
    code = query(browser.http.get(stepped.location).location)["code"]
    tokens = browser.redeem(code, public_client, pkce).json
    for token in (tokens["access_token"], tokens["id_token"]):
        assert jwt.decode(token, options={"verify_signature": False})["acr"] == TWO_FACTORS


def test_without_a_page_a_step_up_is_an_error(inside_with_a_password_only: Browser, public_client: str) -> None:
    asked = authorization(public_client, Pkce(), acr_values=TWO_FACTORS, prompt="none")
    refused = query(inside_with_a_password_only.authorize(**asked).location)
    assert (refused["error"], refused["state"]) == ("unmet_authentication_requirements", "the-state")
    fine = inside_with_a_password_only.authorize(**asked | {"acr_values": "urn:nobody:knows"})
    assert "code" in query(fine.location)


def test_the_pages_set_it_up_and_step_up(browser: Browser, clock: Clock, database: Database) -> None:
    http = browser.http
    browser.sign_in(http.get("/account/security"))
    page = http.post("/account/security/totp", data=hidden_fields(http.get("/account/security").text))
    assert "<svg" in page.text
    assert "style=" not in page.text
    assert "<script" not in page.text
    secret = page.text.partition('class="secret">')[2].partition("<")[0].replace(" ", "")
    fields = hidden_fields(page.text)
    wrong = http.post("/account/security/totp/confirm", data=fields | {"code": "1"})
    assert (wrong.status_code, secret[:4] in wrong.text) == (422, True)
    done = http.post("/account/security/totp/confirm", data=fields | {"code": clock.code(secret, -1)})
    assert done.text.count("<code>") == 10
    with database.transaction() as session:
        session.execute(update(SignInSession).values(amr=["pwd"]))
    asked = http.get("/account/step-up?return_to=/account/security")
    fields = hidden_fields(http.get(asked.location).text)
    stepped = http.post("/account/second-factor", data=fields | {"code": clock.code(secret)})
    assert stepped.location == "/account/security"
    with database.read() as session:
        assert set(session.scalars(select(SignInSession.amr)).one()) == {"pwd", "otp", "mfa"}
