"""/token and /revoke: codes, families and clients under attack and under load."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Flask
from sqlalchemy import func, select, text, update

from auth_service.domain import clients
from auth_service.models import AuthorizationCode, RefreshToken, TokenFamily
from common import mail
from common.db import Database, utcnow
from tests.auth.support import CALLBACK, ISSUER, Browser, Pkce, authorization, query, register_client
from tests.auth.test_authorize import consent_page, decide


def in_parallel(count: int, work: Callable[[int], Any]) -> list[Any]:
    results: list[Any] = [None] * count
    start = threading.Barrier(count)

    def run(number: int) -> None:
        start.wait()
        results[number] = work(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def code_of(browser: Browser, client_id: str, pkce: Pkce) -> str:
    return browser.code_for(**authorization(client_id, pkce))["code"]


def userinfo(app: Flask, token: str) -> int:
    answer = app.test_client().get("/userinfo", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code


def age_tokens(database: Database, seconds: int = 11) -> None:
    with database.transaction() as session:
        age = text(f"interval '{seconds} seconds'")
        session.execute(update(RefreshToken).values(used_at=RefreshToken.used_at - age))


def test_eight_threads_redeem_one_code_and_one_succeeds(browser: Browser, public_client: str, app: Flask) -> None:
    pkce = Pkce()
    code = code_of(browser, public_client, pkce)
    browsers = [Browser(app.test_client(), browser.person) for _ in range(8)]
    answers = in_parallel(8, lambda n: browsers[n].redeem(code, public_client, pkce))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7
    assert {answer.json["error"] for answer in answers if answer.status_code == 400} == {"invalid_grant"}


def test_a_replayed_code_revokes_what_was_made_from_it(
    browser: Browser, public_client: str, app: Flask, database: Database
) -> None:
    pkce = Pkce()
    code = code_of(browser, public_client, pkce)
    tokens = browser.redeem(code, public_client, pkce).json
    assert userinfo(app, tokens["access_token"]) == 200
    assert browser.redeem(code, public_client, pkce).json["error"] == "invalid_grant"
    with database.read() as session:
        assert session.scalars(select(TokenFamily.revoked_because)).all() == ["code_replayed"]
    assert browser.refresh(tokens["refresh_token"], public_client).json["error"] == "invalid_grant"
    assert userinfo(app, tokens["access_token"]) == 401


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": None}, "invalid_request"),
        ({"code_verifier": "x" * 43}, "invalid_grant"),
        ({"code_verifier": "é" * 43}, "invalid_grant"),
        ({"code_verifier": "short"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_grant"),
        ({"redirect_uri": "http://127.0.0.1:1/callback"}, "invalid_grant"),
        ({"code": None}, "invalid_request"),
        ({"code": "nonsense"}, "invalid_grant"),
        ({"code": "nul\x00"}, "invalid_request"),
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": 'implicit"\\'}, "unsupported_grant_type"),
        ({"client_id": None}, "invalid_client"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"client_secret": "anything"}, "invalid_client"),
        ({"code": ["one", "two"]}, "invalid_request"),
        ({"client_id": ["one", "two"]}, "invalid_request"),
    ],
)
def test_a_code_is_bound_and_survives_wrong_attempts(
    browser: Browser, public_client: str, changes: dict[str, Any], error: str
) -> None:
    pkce = Pkce()
    code = code_of(browser, public_client, pkce)
    refused = browser.redeem(code, public_client, pkce, **changes)
    assert (refused.status_code, refused.json["error"]) == (401 if error == "invalid_client" else 400, error)
    assert refused.headers["Cache-Control"] == "no-store"
    assert refused.content_type == "application/json"
    assert browser.redeem(code, public_client, pkce).status_code == 200


def test_a_code_is_the_clients_that_asked(browser: Browser, public_client: str, database: Database) -> None:
    other, _ = register_client(database, token_endpoint_auth_method="none")
    pkce = Pkce()
    assert browser.redeem(code_of(browser, public_client, pkce), other, pkce).json["error"] == "invalid_grant"


def test_a_code_expires(browser: Browser, public_client: str, database: Database) -> None:
    pkce = Pkce()
    code = code_of(browser, public_client, pkce)
    with database.transaction() as session:
        life = session.scalar(select(AuthorizationCode.expires_at - AuthorizationCode.created_at))
        assert life.total_seconds() <= 60.1
        session.execute(update(AuthorizationCode).values(expires_at=utcnow()))
    assert browser.redeem(code, public_client, pkce).json["error"] == "invalid_grant"


def test_sixteen_tabs_refresh_at_once_and_stay_in_one_family(
    browser: Browser, public_client: str, app: Flask, database: Database
) -> None:
    token = browser.tokens(public_client)["refresh_token"]
    tabs = [Browser(app.test_client(), browser.person) for _ in range(16)]
    for _ in range(3):
        answers = in_parallel(16, lambda n, shared=token: tabs[n].refresh(shared, public_client))
        assert {answer.status_code for answer in answers} == {200}
        (token,) = {answer.json["refresh_token"] for answer in answers}
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(TokenFamily)) == 1
        assert session.scalar(select(func.count()).select_from(RefreshToken)) == 4
        assert session.scalars(select(TokenFamily.revoked_at)).all() == [None]


def test_tabs_out_of_step_are_led_to_the_current_token(browser: Browser, public_client: str) -> None:
    first = browser.tokens(public_client)["refresh_token"]
    second = browser.refresh(first, public_client).json["refresh_token"]
    third = browser.refresh(second, public_client).json["refresh_token"]
    assert browser.refresh(first, public_client).json["refresh_token"] == third


def test_reuse_after_the_grace_revokes_and_stays_revoked(
    browser: Browser, public_client: str, app: Flask, database: Database
) -> None:
    first = browser.tokens(public_client)
    second = browser.refresh(first["refresh_token"], public_client).json
    current = browser.refresh(second["refresh_token"], public_client).json
    age_tokens(database)
    reused = browser.refresh(first["refresh_token"], public_client)
    assert (reused.status_code, reused.json["error"]) == (400, "invalid_grant")
    assert browser.refresh(current["refresh_token"], public_client).json["error"] == "invalid_grant"
    assert userinfo(app, current["access_token"]) == 401
    with database.read() as session:
        assert session.scalars(select(mail.table.c.subject)).all()[-1] == "We ended a sign-in to your account"


def test_a_refresh_whose_answer_was_lost_is_tried_again(
    browser: Browser, public_client: str, database: Database
) -> None:
    """Each retry is given another successor, and only the last one is good."""
    first = browser.tokens(public_client)["refresh_token"]
    given = [browser.refresh(first, public_client).json["refresh_token"]]
    for _ in range(2):
        age_tokens(database)
        given.append(browser.refresh(first, public_client).json["refresh_token"])
    assert len(set(given)) == 3
    latest = browser.refresh(given[-1], public_client)
    assert latest.status_code == 200
    assert browser.refresh(latest.json["refresh_token"], public_client).status_code == 200


@pytest.mark.parametrize("shown", ["the replaced one", "the first one, after its successor was used", "a day later"])
def test_both_of_two_holders_cannot_go_on(browser: Browser, public_client: str, database: Database, shown: str) -> None:
    first = browser.tokens(public_client)["refresh_token"]
    lost = browser.refresh(first, public_client).json["refresh_token"]
    age_tokens(database)
    again = browser.refresh(first, public_client).json["refresh_token"]
    if shown == "the replaced one":
        refused, left = browser.refresh(lost, public_client), again
    elif shown == "a day later":
        with database.transaction() as session:
            session.execute(update(RefreshToken).values(used_at=RefreshToken.used_at - text("interval '25 hours'")))
        refused, left = browser.refresh(first, public_client), again
    else:
        left = browser.refresh(again, public_client).json["refresh_token"]
        age_tokens(database)
        refused = browser.refresh(first, public_client)
    assert refused.json["error"] == "invalid_grant"
    assert browser.refresh(left, public_client).json["error"] == "invalid_grant"


def test_a_refresh_token_is_the_clients(browser: Browser, public_client: str, database: Database) -> None:
    other, _ = register_client(database, token_endpoint_auth_method="none")
    token = browser.tokens(public_client)["refresh_token"]
    assert browser.refresh(token, other).json["error"] == "invalid_grant"
    assert browser.refresh(token, public_client).status_code == 200


def test_a_refresh_may_narrow_the_scope_and_not_widen_it(browser: Browser, public_client: str) -> None:
    token = browser.tokens(public_client, scope="openid profile")["refresh_token"]
    wider = browser.refresh(token, public_client, scope="openid email")
    assert wider.json["error"] == "invalid_scope"
    narrow = browser.refresh(token, public_client, scope="openid").json
    assert narrow["scope"] == "openid"
    assert browser.refresh(narrow["refresh_token"], public_client).json["scope"] == "openid profile"


def test_the_json_sign_in_and_clients_keep_apart(browser: Browser, public_client: str) -> None:
    token = browser.tokens(public_client)["refresh_token"]
    answer = browser.http.post("/api/v1/auth/refresh", json={"refresh_token": token})
    assert answer.status_code == 401
    login = {"identifier": "reader", "password": browser.person["password"]}
    own = browser.http.post("/api/v1/auth/login", json=login).json["refresh_token"]
    assert browser.refresh(own, public_client).json["error"] == "invalid_grant"
    assert browser.refresh(own, "bookstore").json["error"] == "invalid_client"


def basic(client_id: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


MACHINE = {"grant_types": ["client_credentials"], "scope": "replicas:read openid", "redirect_uris": []}


def test_a_machine_gets_a_token_of_its_own(app: Flask, database: Database) -> None:
    client_id, secret = register_client(database, **MACHINE)
    answer = app.test_client().post(
        "/token", data={"grant_type": "client_credentials"}, headers=basic(client_id, secret)
    )
    assert answer.status_code == 200
    assert answer.json.keys() == {"access_token", "token_type", "expires_in", "scope"}
    claims = jwt.decode(answer.json["access_token"], options={"verify_signature": False})
    assert (claims["sub"], claims["client_id"], claims["scope"]) == (client_id, client_id, "replicas:read")
    assert "role" not in claims
    assert "sid" not in claims
    me = app.test_client().get("/userinfo", headers={"Authorization": f"Bearer {answer.json['access_token']}"})
    assert me.status_code == 403


@pytest.mark.parametrize(
    ("method", "send"),
    [
        ("client_secret_basic", "basic"),
        ("client_secret_post", "post"),
    ],
)
def test_clients_authenticate_as_registered(app: Flask, database: Database, method: str, send: str) -> None:
    client_id, secret = register_client(database, **MACHINE, token_endpoint_auth_method=method)
    form = {"grant_type": "client_credentials"}
    in_body = form | {"client_id": client_id, "client_secret": secret}
    by_basic = app.test_client().post("/token", data=form, headers=basic(client_id, secret))
    by_post = app.test_client().post("/token", data=in_body)
    right, wrong = (by_basic, by_post) if send == "basic" else (by_post, by_basic)
    assert (right.status_code, wrong.status_code) == (200, 401)
    assert wrong.headers["WWW-Authenticate"].startswith("Basic")
    both = app.test_client().post("/token", data=in_body, headers=basic(client_id, secret))
    assert both.json["error"] == "invalid_request"


@pytest.mark.parametrize(
    "authorization_header",
    [
        "Basic", "Basic ", "Basic !!!", "Basic gICA", "Basic Og==", "Basic " + base64.b64encode(b"%00:x").decode(),
        "Basic " + base64.b64encode("é:ü".encode()).decode(), "Bearer x", "Digest x", "Basic " + "A" * 5000,
    ],
)  # fmt: skip
def test_odd_credentials_are_refused(app: Flask, database: Database, authorization_header: str) -> None:
    answer = app.test_client().post(
        "/token", data={"grant_type": "client_credentials"}, headers={"Authorization": authorization_header}
    )
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_client")


def test_a_secret_may_need_encoding(app: Flask, database: Database) -> None:
    """RFC 6749 section 2.3.1 has it form-encoded; many clients send it as it is. Both are understood."""
    with database.transaction() as session:
        metadata = clients.Metadata(client_name="m", grant_types=["client_credentials"], scope="replicas:read")
        clients.ensure(session, "machine", "a+b%20c/d=", metadata, own_origin=ISSUER)
    for sent in ("a+b%20c/d=", "a%2Bb%2520c%2Fd%3D"):
        answer = app.test_client().post(
            "/token", data={"grant_type": "client_credentials"}, headers=basic("machine", sent)
        )
        assert answer.status_code == 200


def test_a_machine_cannot_have_more_than_its_scope(app: Flask, database: Database) -> None:
    client_id, secret = register_client(database, **MACHINE)
    for scope in ("users:manage", "openid", "replicas:read users:manage", '"\\'):
        form = {"grant_type": "client_credentials", "scope": scope}
        answer = app.test_client().post("/token", data=form, headers=basic(client_id, secret))
        assert answer.json["error"] == "invalid_scope"


def test_grants_are_registered_for_each_client(browser: Browser, database: Database) -> None:
    client_id, secret = register_client(database, **MACHINE)
    form = {"grant_type": "authorization_code", "code": "x", "code_verifier": "y" * 43}
    answer = browser.http.post("/token", data=form, headers=basic(client_id, secret))
    assert answer.json["error"] == "unauthorized_client"
    without, _ = register_client(
        database, token_endpoint_auth_method="none", grant_types=["authorization_code"], trusted=True
    )
    assert "refresh_token" not in browser.tokens(without)


def test_secrets_in_the_query_are_not_read(app: Flask, database: Database) -> None:
    client_id, secret = register_client(database, **MACHINE, token_endpoint_auth_method="client_secret_post")
    path = f"/token?grant_type=client_credentials&client_id={client_id}&client_secret={secret}"
    assert app.test_client().post(path).json["error"] == "invalid_request"
    assert app.test_client().get(path).status_code == 405


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_revoking_takes_the_family(browser: Browser, public_client: str, app: Flask, kind: str) -> None:
    tokens = browser.tokens(public_client)
    form = {"token": tokens[kind], "client_id": public_client, "token_type_hint": "whatever"}
    assert browser.http.post("/revoke", data=form).status_code == 200
    assert browser.refresh(tokens["refresh_token"], public_client).json["error"] == "invalid_grant"
    assert userinfo(app, tokens["access_token"]) == 401
    assert browser.http.post("/revoke", data=form).status_code == 200


def test_revoking_is_for_the_tokens_client(browser: Browser, public_client: str, database: Database) -> None:
    other, _ = register_client(database, token_endpoint_auth_method="none")
    tokens = browser.tokens(public_client)
    form = {"token": tokens["refresh_token"], "client_id": other}
    assert browser.http.post("/revoke", data=form).json["error"] == "invalid_grant"
    assert browser.http.post("/revoke", data={"token": tokens["refresh_token"]}).status_code == 401
    assert browser.http.post("/revoke", data={"client_id": other}).json["error"] == "invalid_request"
    unknown = browser.http.post("/revoke", data={"client_id": other, "token": "never.heard.of"})
    assert unknown.status_code == 200
    assert browser.refresh(tokens["refresh_token"], public_client).status_code == 200


def test_logout_of_an_app_of_somebody_else_leaves_the_browser_signed_in(
    browser: Browser, public_client: str, database: Database
) -> None:
    foreign, _ = register_client(database, token_endpoint_auth_method="none")
    pkce = Pkce()
    code = query(decide(browser, consent_page(browser, foreign, pkce), "allow").location)["code"]
    tokens = browser.redeem(code, foreign, pkce).json
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert browser.http.post("/api/v1/auth/logout", headers=header).status_code == 204
    assert browser.refresh(tokens["refresh_token"], foreign).json["error"] == "invalid_grant"
    still = browser.authorize(**authorization(public_client, Pkce(), prompt="none"))
    assert still.location.startswith(f"{CALLBACK}?code=")


@pytest.mark.parametrize(
    "forge", ["none", "hmac", "id_token", "expired", "audience", "issuer", "other key", "typ", "no kid"]
)
def test_forged_tokens_are_refused(browser: Browser, public_client: str, app: Flask, forge: str) -> None:
    tokens = browser.tokens(public_client)
    good = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    header = jwt.get_unverified_header(tokens["access_token"])
    jwk = app.test_client().get("/.well-known/jwks.json").json["keys"][0]
    ring = app.extensions["authority"].keys
    with app.extensions["database"].transaction() as session:
        signer = ring.signer(session)
    headers = {"typ": "at+jwt", "kid": header["kid"]}

    def signed(claims: dict[str, Any], **changes: Any) -> str:
        return jwt.encode(good | claims, signer.private_key, "ES256", headers=headers | changes)

    public = jwt.PyJWK(jwk).key.public_bytes(*_pem()).decode()
    forged = {
        "none": lambda: jwt.encode(good, None, "none", headers=headers),
        "hmac": lambda: _hmac_signed(good, public, headers),
        "id_token": lambda: tokens["id_token"],
        "expired": lambda: signed({"exp": 1}),
        "audience": lambda: signed({"aud": "somebody-else"}),
        "issuer": lambda: signed({"iss": "https://evil.example"}),
        "other key": lambda: jwt.encode(good, _new_key(), "ES256", headers=headers),
        "typ": lambda: signed({}, typ="JWT"),
        "no kid": lambda: signed({}, kid="nobody"),
    }[forge]()
    assert userinfo(app, signed({})) == 200
    assert userinfo(app, forged) == 401


def _pem() -> tuple[Any, Any]:
    return Encoding.PEM, PublicFormat.SubjectPublicKeyInfo


def _new_key() -> Any:
    return ec.generate_private_key(ec.SECP256R1())


def _hmac_signed(claims: dict[str, Any], public_pem: str, headers: dict[str, Any]) -> str:
    """By hand: PyJWT itself declines to use a public key as an HMAC secret."""

    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    signing_input = f"{part(headers | {'alg': 'HS256'})}.{part(claims)}"
    code = hmac.new(public_pem.encode(), signing_input.encode(), hashlib.sha256).digest()
    return f"{signing_input}.{base64.urlsafe_b64encode(code).rstrip(b'=').decode()}"
