"""/par (RFC 9126): requests that the browser only carries a reference to."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from sqlalchemy import update
from werkzeug.test import TestResponse

from auth_service.domain.oauth import pushed
from auth_service.domain.secrecy import digest
from auth_service.models import PushedRequest
from common.db import Database, utcnow
from tests.auth.support import CALLBACK, ISSUER, Browser, Pkce, authorization, query, register_client
from tests.auth.test_authorize import decide
from tests.support.proofs import Key


def push(browser: Browser, client_id: str, pkce: Pkce, /, **changes: Any) -> TestResponse:
    return browser.http.post("/par", data=authorization(client_id, pkce, **changes))


def reference(browser: Browser, client_id: str, pkce: Pkce, /, **changes: Any) -> str:
    answer = push(browser, client_id, pkce, **changes)
    assert answer.status_code == 201, answer.json
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json["expires_in"] == 90
    return answer.json["request_uri"]


def test_a_pushed_request_leads_to_a_code_once(browser: Browser, public_client: str) -> None:
    pkce = Pkce()
    uri = reference(browser, public_client, pkce)
    assert uri.startswith("urn:ietf:params:oauth:request_uri:")
    returned = browser.code_for(client_id=public_client, request_uri=uri)
    assert (returned["state"], returned["iss"]) == ("the-state", ISSUER)
    assert browser.redeem(returned["code"], public_client, pkce).status_code == 200
    again = browser.authorize(client_id=public_client, request_uri=uri)
    assert (again.status_code, again.location) == (400, None)


def test_only_the_pushed_parameters_count(browser: Browser, public_client: str) -> None:
    uri = reference(browser, public_client, Pkce(), scope="openid")
    beside = {"scope": "openid email", "redirect_uri": "https://evil.example/", "state": "other"}
    returned = browser.code_for(client_id=public_client, request_uri=uri, **beside)
    assert returned["state"] == "the-state"


def test_the_persons_page_knows_the_hint_and_where_it_leads(browser: Browser, public_client: str) -> None:
    uri = reference(browser, public_client, Pkce(), login_hint="reader@example.com")
    page = browser.http.get(browser.authorize(client_id=public_client, request_uri=uri).location)
    assert 'value="reader@example.com"' in page.text
    assert "form-action 'self' http://127.0.0.1" in page.headers["Content-Security-Policy"]


def test_a_reference_is_the_clients(browser: Browser, public_client: str, database: Database) -> None:
    other, _ = register_client(database, token_endpoint_auth_method="none", trusted=True)
    answer = browser.authorize(client_id=other, request_uri=reference(browser, public_client, Pkce()))
    assert (answer.status_code, answer.location) == (400, None)


def test_a_reference_expires(browser: Browser, public_client: str, database: Database) -> None:
    uri = reference(browser, public_client, Pkce())
    with database.transaction() as session:
        session.execute(update(PushedRequest).values(expires_at=utcnow()))
    assert browser.authorize(client_id=public_client, request_uri=uri).status_code == 400


def test_a_request_that_is_answered_while_it_is_opened_again_is_no_error_of_ours(
    browser: Browser, public_client: str, database: Database
) -> None:
    uri = reference(browser, public_client, Pkce())
    with database.transaction() as late:
        assert late.get(PushedRequest, digest(uri.removeprefix(pushed.PREFIX)))
        with database.transaction() as first:
            assert pushed.use_up(first, uri)
        pushed.find(late, public_client, uri)
        assert not pushed.use_up(late, uri)


def test_a_request_too_long_to_come_back_to_is_refused_unless_it_was_pushed(
    browser: Browser, public_client: str
) -> None:
    state = "%" * 1500
    refused = browser.authorize(**authorization(public_client, Pkce(), state=state))
    assert (refused.status_code, refused.mimetype, refused.location) == (400, "text/html", None)
    uri = reference(browser, public_client, Pkce(), state=state)
    assert browser.code_for(client_id=public_client, request_uri=uri)["state"] == state
    assert browser.code_for(**authorization(public_client, Pkce(), state="%" * 1000))["state"] == "%" * 1000


def test_a_person_has_time_to_register(browser: Browser, public_client: str, database: Database) -> None:
    browser.authorize(client_id=public_client, request_uri=reference(browser, public_client, Pkce()))
    with database.read() as session:
        left = session.query(PushedRequest.expires_at).scalar() - utcnow()
    assert left.total_seconds() > 1700


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"redirect_uri": "https://evil.example/"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "users:manage"}, "invalid_scope"),
        ({"resource": "https://evil.example/"}, "invalid_target"),
        ({"request_uri": "urn:ietf:params:oauth:request_uri:x"}, "request_uri_not_supported"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"client_id": None}, "invalid_client"),
        ({"state": ["a", "b"]}, "invalid_request"),
        ({"state": "\x00"}, "invalid_request"),
        ({"dpop_jkt": "short"}, "invalid_request"),
    ],
)
def test_what_cannot_be_pushed(browser: Browser, public_client: str, changes: dict[str, Any], error: str) -> None:
    answer = push(browser, public_client, Pkce(), **changes)
    assert (answer.status_code, answer.json["error"]) == (401 if error == "invalid_client" else 400, error)


def test_a_confidential_client_authenticates(browser: Browser, database: Database) -> None:
    client_id, secret = register_client(database, trusted=True)
    request = authorization(client_id, Pkce())
    assert browser.http.post("/par", data=request).status_code == 401
    assert browser.http.post("/par", data=request, auth=(client_id, "wrong")).status_code == 401
    in_body = browser.http.post("/par", data=request | {"client_secret": secret})
    assert in_body.status_code == 201
    answer = browser.http.post("/par", data=request, auth=(client_id, secret))
    assert "code" in browser.code_for(client_id=client_id, request_uri=answer.json["request_uri"])
    with database.read() as session:
        kept = session.query(PushedRequest.parameters).all()
    assert secret not in str(kept)


def test_one_client_cannot_push_for_another(browser: Browser, public_client: str, database: Database) -> None:
    client_id, secret = register_client(database, trusted=True)
    answer = browser.http.post("/par", data=authorization(public_client, Pkce()), auth=(client_id, secret))
    assert answer.status_code in (400, 401)


def test_a_client_may_be_held_to_it(browser: Browser, database: Database) -> None:
    client_id, _ = register_client(
        database, token_endpoint_auth_method="none", trusted=True, require_pushed_authorization_requests=True
    )
    direct = browser.authorize(**authorization(client_id, Pkce()))
    assert query(direct.location)["error"] == "invalid_request"
    assert "code" in browser.code_for(client_id=client_id, request_uri=reference(browser, client_id, Pkce()))


def test_consent_uses_a_reference_up(browser: Browser, database: Database) -> None:
    client_id, _ = register_client(database, token_endpoint_auth_method="none")
    for decision, told in (("deny", "error"), ("allow", "code")):
        uri = reference(browser, client_id, Pkce())
        page = browser.authorize(client_id=client_id, request_uri=uri)
        if urlsplit(page.location or "").path == "/account/sign-in":
            page = browser.http.get(browser.sign_in(page).location)
        assert told in query(decide(browser, page, decision).location)
        assert browser.authorize(client_id=client_id, request_uri=uri).status_code == 400


def test_a_proof_at_par_binds_the_code(browser: Browser, public_client: str, app: Flask) -> None:
    key, pkce = Key(), Pkce()

    def pushed(nonce: str | None, **changes: Any) -> TestResponse:
        headers = {"DPoP": key.proof("POST", f"{ISSUER}/par", nonce=nonce)}
        return browser.http.post("/par", data=authorization(public_client, pkce, **changes), headers=headers)

    nonce = pushed(None).headers["DPoP-Nonce"]
    assert pushed(nonce, dpop_jkt=Key().jkt).json["error"] == "invalid_request"
    returned = browser.code_for(client_id=public_client, request_uri=pushed(nonce).json["request_uri"])
    assert browser.redeem(returned["code"], public_client, pkce).json["error"] == "invalid_grant"
    form = {"grant_type": "authorization_code", "code": returned["code"], "redirect_uri": CALLBACK}
    form |= {"client_id": public_client, "code_verifier": pkce.verifier}
    proof = key.proof("POST", f"{ISSUER}/token", nonce=nonce)
    assert browser.http.post("/token", data=form, headers={"DPoP": proof}).json["token_type"] == "DPoP"


def test_what_is_left_with_us_is_small_and_not_without_end(
    browser: Browser, public_client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = authorization(public_client, Pkce(), state="x" * 20_000)
    assert browser.http.post("/par", data=large).status_code == 413
    monkeypatch.setattr(pushed, "MOST_OF_CLIENT", 2)
    assert [push(browser, public_client, Pkce()).status_code for _ in range(5)] == [201, 201, 201, 429, 429]
