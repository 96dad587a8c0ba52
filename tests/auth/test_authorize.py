"""/authorize: what it demands, and where it never sends anybody."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from flask import Flask
from sqlalchemy import update

from auth_service.api import browser as browser_module
from auth_service.domain import redirects
from auth_service.domain.oauth import authorization as rules
from auth_service.models import SignInSession
from common.assurance import TWO_FACTORS
from common.db import Database, utcnow
from tests.auth.support import CALLBACK, ISSUER, Browser, Pkce, authorization, hidden_fields, query, register_client


def refusal(browser: Browser, client_id: str, **changes: Any) -> dict[str, str]:
    """The error that came back to the client's own address, with state and iss."""
    answer = browser.authorize(**authorization(client_id, Pkce(), **changes))
    assert answer.status_code == 303, answer.text
    assert answer.location.startswith(f"{CALLBACK}?"), answer.location
    returned = query(answer.location)
    assert "code" not in returned
    assert returned["iss"] == ISSUER
    if "state" not in changes:
        assert returned["state"] == "the-state"
    return returned


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": "s256"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": "x" * 44}, "invalid_request"),
        ({"code_challenge": "!" * 43}, "invalid_request"),
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"scope": "openid nonsense"}, "invalid_scope"),
        ({"scope": "openid users:manage"}, "invalid_scope"),
        ({"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"),
        ({"request_uri": "https://evil.example/r"}, "request_uri_not_supported"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "nonsense"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "9" * 20}, "invalid_request"),
        ({"max_age": "¹"}, "invalid_request"),
        ({"nonce": "n" * 1001}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
        ({"scope": ["openid", "profile"]}, "invalid_request"),
        ({"state": ["one", "two"]}, "invalid_request"),
        ({"code_challenge_method": ["S256", "plain"]}, "invalid_request"),
        ({"anything": ["1", "2"]}, "invalid_request"),
    ],
)
def test_refusals_go_back_with_state_and_iss(
    browser: Browser, public_client: str, changes: dict[str, Any], error: str
) -> None:
    assert refusal(browser, public_client, **changes)["error"] == error


def test_pkce_is_demanded_of_clients_with_a_secret_too(browser: Browser, database: Database) -> None:
    client_id, _ = register_client(database, trusted=True)
    assert refusal(browser, client_id, code_challenge=None)["error"] == "invalid_request"


def test_a_client_for_machines_gets_no_codes(browser: Browser, database: Database) -> None:
    client_id, _ = register_client(database, grant_types=["client_credentials"])
    assert refusal(browser, client_id)["error"] == "unauthorized_client"


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": None},
        {"client_id": "nobody"},
        {"client_id": "a\x00b"},
        {"client_id": ["PUBLIC", "PUBLIC"]},
        {"redirect_uri": [CALLBACK, CALLBACK]},
        {"redirect_uri": "https://evil.example/callback"},
        {"redirect_uri": "http://127.0.0.1/callback/../evil"},
        {"redirect_uri": "http://127.0.0.1/callback?x=1"},
        {"redirect_uri": "http://127.0.0.1/callback#f"},
        {"redirect_uri": "http://127.0.0.1/Callback"},
        {"redirect_uri": "https://127.0.0.1/callback"},
        {"redirect_uri": "http://localhost/callback"},
        {"redirect_uri": "http://127.0.0.1:99999/callback"},
        {"redirect_uri": "http://127.0.0.1:٣/callback"},
        {"redirect_uri": "http://127.0.0.1:80@evil.example/callback"},
        {"redirect_uri": "http://evil.example@127.0.0.1/callback"},
        {"redirect_uri": "http://127.0.0.1.evil.example/callback"},
        {"redirect_uri": "http://127.0.0.1\\@evil.example/callback"},
        {"redirect_uri": "http://127.0.0.1\t/callback"},
        {"redirect_uri": "http://127.0.0.1/callback\r\nSet-Cookie: a=b"},
        {"redirect_uri": "http://127.0.0.1/callback'\""},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": "//127.0.0.1/callback"},
        {"state": "\x00"},
    ],
)
def test_nothing_is_ever_sent_to_an_unverified_address(
    browser: Browser, public_client: str, changes: dict[str, Any]
) -> None:
    if changes.get("client_id") == ["PUBLIC", "PUBLIC"]:
        changes = {"client_id": [public_client, public_client]}
    answer = browser.authorize(**authorization(public_client, Pkce(), **changes))
    assert answer.status_code == 400
    assert answer.location is None
    assert answer.content_type == "text/html; charset=utf-8"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


def test_a_hostile_redirect_uri_is_not_reflected(browser: Browser, public_client: str) -> None:
    hostile = '"><script>alert(1)</script>'
    assert "script>" not in browser.authorize(**authorization(public_client, Pkce(), redirect_uri=hostile)).text


@pytest.mark.parametrize(
    ("registered", "requested", "fits"),
    [
        ("http://127.0.0.1/cb", "http://127.0.0.1:51004/cb", True),
        ("http://127.0.0.1:8000/cb", "http://127.0.0.1:9/cb", True),
        ("http://[::1]/cb", "http://[::1]:51004/cb", True),
        ("http://127.0.0.1/cb?a=b", "http://127.0.0.1:1/cb?a=b", True),
        ("http://127.0.0.1", "http://127.0.0.1:5", True),
        ("http://localhost:3000/cb", "http://localhost:3000/cb", True),
        ("http://localhost:3000/cb", "http://localhost:3001/cb", False),
        ("https://app.example/cb", "https://app.example:444/cb", False),
        ("https://app.example/cb", "https://app.example/cb/", False),
        ("http://127.0.0.1/cb", "http://[::1]/cb", False),
        ("com.example.app:/cb", "com.example.app:/cb", True),
    ],
)
def test_addresses_match_exactly_but_for_a_loopback_port(registered: str, requested: str, fits: bool) -> None:
    assert redirects.matches(requested, [registered]) is fits


@pytest.mark.parametrize(
    ("uri", "fine"),
    [
        ("https://app.example/cb", True),
        ("http://localhost:5000/cb", True),
        ("http://127.0.0.1/cb", True),
        ("com.example.app:/cb", True),
        ("http://localhost:8000/bff/callback", True),
        ("http://app.example/cb", False),
        ("https://app.example/cb#x", False),
        ("https://u:p@app.example/cb", False),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("https:///cb", False),
        ("https://app.example/\u00e9", False),
        ("https://app.example/ cb", False),
        ("https://[::1/cb", False),
        ("http://localhost:8000.evil.example/cb", False),
        ("/cb", False),
        ("", False),
    ],
)
def test_what_may_be_registered(uri: str, fine: bool) -> None:
    assert (redirects.problem(uri, ISSUER) is None) is fine


def test_any_loopback_port_works_to_the_end(browser: Browser, public_client: str) -> None:
    pkce, here = Pkce(), "http://127.0.0.1:51004/callback"
    asked = browser.authorize(**authorization(public_client, pkce, redirect_uri=here))
    back = browser.http.get(browser.sign_in(asked).location)
    assert back.location.startswith(f"{here}?")
    code = query(back.location)["code"]
    assert browser.redeem(code, public_client, pkce, redirect_uri=CALLBACK).status_code == 400
    assert browser.redeem(code, public_client, pkce, redirect_uri=here).status_code == 200


def test_a_sole_registered_address_may_be_left_out(browser: Browser, public_client: str) -> None:
    pkce = Pkce()
    returned = browser.code_for(**authorization(public_client, pkce, redirect_uri=None))
    assert browser.redeem(returned["code"], public_client, pkce, redirect_uri=None).status_code == 200


def test_an_existing_query_of_the_address_stays(browser: Browser, database: Database) -> None:
    uri = "https://app.example/a%2Fb?tenant=%31%26"
    client_id, _ = register_client(database, redirect_uris=[uri], trusted=True)
    answer = browser.authorize(**authorization(client_id, Pkce(), redirect_uri=uri, prompt="none"))
    assert answer.location.startswith(f"{uri}&error=login_required&")


def test_state_comes_back_exactly(browser: Browser, public_client: str) -> None:
    state = "a b+c&d=é\"'<>%00%0d%0a"
    assert browser.code_for(**authorization(public_client, Pkce(), state=state))["state"] == state


def test_the_request_may_be_posted(browser: Browser, public_client: str) -> None:
    answer = browser.http.post("/authorize", data=authorization(public_client, Pkce()))
    assert urlsplit(answer.location).path == "/authorize"
    signed_in = browser.sign_in(browser.http.get(answer.location))
    assert "code" in query(browser.http.get(signed_in.location).location)
    again = browser.http.post("/authorize", data=authorization(public_client, Pkce()))
    assert "code" in query(again.location)


@pytest.mark.parametrize("changes", [{"prompt": "login"}, {"prompt": "select_account"}, {"max_age": "0"}])
def test_somebody_signed_in_proves_it_again_when_asked(
    browser: Browser, public_client: str, changes: dict[str, str]
) -> None:
    browser.tokens(public_client)
    asked = browser.authorize(**authorization(public_client, Pkce(), **changes))
    assert urlsplit(asked.location).path == "/account/sign-in"
    return_to = dict(parse_qsl(urlsplit(asked.location).query))["return_to"]
    assert urlsplit(browser.http.get(return_to).location).path == "/account/sign-in"
    assert "code" in query(browser.http.get(browser.sign_in(asked).location).location)


def test_a_stamp_for_one_request_is_worth_nothing_for_another(browser: Browser, public_client: str) -> None:
    asked = browser.authorize(**authorization(public_client, Pkce(), prompt="login"))
    return_to = dict(parse_qsl(urlsplit(asked.location).query))["return_to"]
    stamp = dict(parse_qsl(urlsplit(return_to).query))["demanded"]
    browser.sign_in(asked)
    other = browser.authorize(**authorization(public_client, Pkce(), prompt="login", state="x"), demanded=stamp)
    assert urlsplit(other.location).path == "/account/sign-in"


def stamped(asked: Any) -> str:
    """The way back to the request, from the redirect to the sign-in page."""
    return dict(parse_qsl(urlsplit(asked.location).query))["return_to"]


@pytest.mark.parametrize(
    "changes", [{"prompt": "login"}, {"prompt": "select_account"}, {"max_age": "0"}, {"max_age": "5"}]
)
def test_a_sign_in_that_was_demanded_gives_one_code(
    browser: Browser, public_client: str, changes: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = browser.authorize(**authorization(public_client, Pkce(), **changes))
    browser.sign_in(asked)
    assert "code" in query(browser.http.get(stamped(asked)).location)
    with monkeypatch.context() as later:
        later.setattr(rules, "utcnow", lambda: utcnow() + timedelta(seconds=20))
        again = browser.http.get(stamped(asked))
    assert urlsplit(again.location).path == "/account/sign-in"
    assert "code" in query(browser.http.get(browser.sign_in(again).location).location)


def test_a_page_for_consent_uses_the_demand_up(browser: Browser, database: Database) -> None:
    client_id, _ = register_client(database, token_endpoint_auth_method="none")
    page = consent_page(browser, client_id, Pkce(), prompt="login")
    assert "code" in query(decide(browser, page, "allow").location)
    assert urlsplit(decide(browser, page, "allow").location).path == "/account/sign-in"


def test_a_demand_is_forgotten_after_a_while(
    browser: Browser, public_client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = browser.authorize(**authorization(public_client, Pkce(), prompt="login"))
    browser.sign_in(asked)
    later = time.time() + 16 * 60
    monkeypatch.setattr(browser_module.time, "time", lambda: later)
    assert urlsplit(browser.http.get(stamped(asked)).location).path == "/account/sign-in"


def test_a_demand_does_not_make_an_old_sign_in_young(
    browser: Browser, public_client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = browser.authorize(**authorization(public_client, Pkce(), max_age="5"))
    browser.sign_in(asked)
    monkeypatch.setattr(rules, "utcnow", lambda: utcnow() + timedelta(minutes=2))
    assert urlsplit(browser.http.get(stamped(asked)).location).path == "/account/sign-in"


def test_max_age_counts_from_the_sign_in(browser: Browser, public_client: str, database: Database) -> None:
    browser.tokens(public_client)
    young = browser.authorize(**authorization(public_client, Pkce(), max_age="60"))
    assert "code" in query(young.location)
    with database.transaction() as session:
        session.execute(update(SignInSession).values(authenticated_at=utcnow().replace(year=2020)))
    old = browser.authorize(**authorization(public_client, Pkce(), max_age="60"))
    assert urlsplit(old.location).path == "/account/sign-in"


def test_an_ended_session_is_nobodys(browser: Browser, public_client: str, app: Flask) -> None:
    token = browser.tokens(public_client)["access_token"]
    ended = app.test_client().post("/api/v1/auth/logout", headers={"Authorization": f"Bearer {token}"})
    assert ended.status_code == 204
    assert refusal(browser, public_client, prompt="none")["error"] == "login_required"


def consent_page(browser: Browser, client_id: str, pkce: Pkce, **changes: Any) -> Any:
    return browser.http.get(browser.sign_in(browser.authorize(**authorization(client_id, pkce, **changes))).location)


def decide(browser: Browser, page: Any, decision: str) -> Any:
    return browser.http.post("/account/consent", data=hidden_fields(page.text) | {"decision": decision})


def test_a_client_of_somebody_else_is_allowed_once(browser: Browser, database: Database) -> None:
    client_id, _ = register_client(database, client_name="<b>App</b>", token_endpoint_auth_method="none")
    pkce = Pkce()
    page = consent_page(browser, client_id, pkce)
    assert page.status_code == 200
    assert "see your orders" in page.text
    assert "<b>App</b>" not in page.text
    code = query(decide(browser, page, "allow").location)["code"]
    assert browser.redeem(code, client_id, pkce).status_code == 200
    again = browser.authorize(**authorization(client_id, Pkce(), prompt="none"))
    assert "code" in query(again.location)
    asked_again = browser.authorize(**authorization(client_id, Pkce(), prompt="consent"))
    assert asked_again.status_code == 200


def test_more_scope_needs_a_new_consent(browser: Browser, database: Database) -> None:
    client_id, _ = register_client(database, token_endpoint_auth_method="none")
    decide(browser, consent_page(browser, client_id, Pkce(), scope="openid"), "allow")
    assert "code" in query(browser.authorize(**authorization(client_id, Pkce(), scope="openid")).location)
    assert refusal(browser, client_id, prompt="none")["error"] == "consent_required"


def test_a_denial_goes_back_to_the_client(browser: Browser, database: Database) -> None:
    client_id, _ = register_client(database)
    returned = query(decide(browser, consent_page(browser, client_id, Pkce()), "deny").location)
    assert (returned["error"], returned["state"], returned["iss"]) == ("access_denied", "the-state", ISSUER)


def test_consent_cannot_be_given_by_a_foreign_form(browser: Browser, database: Database) -> None:
    client_id, _ = register_client(database)
    page = consent_page(browser, client_id, Pkce())
    forged = hidden_fields(page.text) | {"decision": "allow", "form_proof": "guess"}
    answer = browser.http.post("/account/consent", data=forged)
    assert (answer.status_code, answer.location) == (403, None)


def test_consent_for_an_unverified_address_goes_nowhere(browser: Browser, database: Database) -> None:
    client_id, _ = register_client(database)
    fields = hidden_fields(consent_page(browser, client_id, Pkce()).text)
    fields["request"] = urlencode(authorization(client_id, Pkce(), redirect_uri="https://evil.example/"))
    answer = browser.http.post("/account/consent", data=fields | {"decision": "allow"})
    assert (answer.status_code, answer.location) == (400, None)


SECOND_FACTOR = json.dumps({"id_token": {"acr": {"essential": True, "value": TWO_FACTORS}}})
SOMEBODY_ELSE = json.dumps({"id_token": {"sub": {"value": "somebody-else"}}})


@pytest.mark.parametrize(
    ("changes", "path", "error"),
    [
        ({"prompt": "login"}, "/account/sign-in", None),
        ({"max_age": "0"}, "/account/sign-in", None),
        ({"claims": SECOND_FACTOR}, "/callback", "unmet_authentication_requirements"),
        ({"claims": SOMEBODY_ELSE}, "/callback", "login_required"),
        ({"prompt": "none"}, "/callback", "consent_required"),
    ],
)
def test_consent_is_no_way_around_what_else_was_demanded(
    browser: Browser, database: Database, changes: dict[str, Any], path: str, error: str | None
) -> None:
    client_id, _ = register_client(database, token_endpoint_auth_method="none")
    fields = hidden_fields(consent_page(browser, client_id, Pkce()).text) | {"decision": "allow"}
    fields["request"] = urlencode(authorization(client_id, Pkce(), **changes))
    answer = browser.http.post("/account/consent", data=fields)
    returned = query(answer.location)
    assert (urlsplit(answer.location).path, returned.get("error")) == (path, error)
    assert "code" not in returned
    assert browser.authorize(**authorization(client_id, Pkce())).status_code == 200, "nothing was allowed"


@pytest.mark.parametrize("changes", [{"prompt": "login"}, {"prompt": "login consent"}, {"max_age": "0"}])
def test_who_signed_in_anew_and_allows_it_is_let_on(
    browser: Browser, database: Database, changes: dict[str, str]
) -> None:
    client_id, _ = register_client(database, token_endpoint_auth_method="none")
    pkce = Pkce()
    page = consent_page(browser, client_id, pkce, **changes)
    assert page.status_code == 200
    assert browser.redeem(query(decide(browser, page, "allow").location)["code"], client_id, pkce).status_code == 200


def test_a_demanded_consent_is_asked_for_once(browser: Browser, database: Database) -> None:
    client_id, _ = register_client(database, token_endpoint_auth_method="none")
    decide(browser, consent_page(browser, client_id, Pkce()), "allow")
    page = browser.authorize(**authorization(client_id, Pkce(), prompt="consent"))
    assert "code" in query(decide(browser, page, "allow").location)


def test_a_customer_cannot_give_what_only_staff_may(browser: Browser, public_client: str) -> None:
    """`books:write` is registered for the client, but not in the customer's role."""
    tokens = browser.tokens(public_client, scope="openid books:write")
    assert tokens["scope"] == "openid"
    only = browser.authorize(**authorization(public_client, Pkce(), scope="books:write"))
    assert query(only.location)["error"] == "access_denied"
