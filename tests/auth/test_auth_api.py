"""/api/v1/auth and /api/v1/users/me, as API.md has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, text, update

from auth_service.models import RefreshToken, SignInSession, TokenFamily, User
from common.db import Database, utcnow
from common.events.auth import UserRegistered
from tests.auth.conftest import PASSWORD
from tests.support.database import emitted

NEW = {"username": "reader", "email": "reader@example.com", "password": PASSWORD}
Tokens = dict[str, Any]
SignIn = Callable[..., Tokens]


def me(client: FlaskClient, tokens: Tokens, path: str = "/api/v1/auth/me") -> Any:
    return client.get(path, headers=bearer(tokens))


def bearer(tokens: Tokens) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


def refresh(client: FlaskClient, token: str) -> Any:
    return client.post("/api/v1/auth/refresh", json={"refresh_token": token})


def test_registering(client: FlaskClient, database: Database) -> None:
    answer = client.post("/api/v1/auth/register", json=NEW)
    assert answer.status_code == 201
    body = answer.json
    assert body.keys() == {
        *("id", "username", "email", "role", "is_active", "email_verified", "created_at", "updated_at"),
    }
    assert (body["role"], body["is_active"], body["email_verified"]) == ("customer", True, False)
    assert body["created_at"].endswith("Z")
    (event,) = emitted(database)
    assert isinstance(event, UserRegistered)
    assert (str(event.user_id), event.username, event.role) == (body["id"], "reader", "customer")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"email": "READER@Example.com", "username": "other"}, 409, "email_taken"),
        ({"username": "Reader", "email": "other@example.com"}, 409, "username_taken"),
        ({"username": "a@b"}, 422, "invalid"),
        ({"password": "short"}, 422, "invalid"),
        ({"password": "x" * 129}, 422, "invalid"),
        ({"password": "x" * 100_000}, 422, "invalid"),
        ({"password": "password1"}, 422, "invalid"),
        ({"email": "nowhere"}, 422, "invalid"),
        ({"role": "admin"}, 422, "invalid"),
        ({"username": None}, 422, "invalid"),
        ({"username": "nul\x00byte"}, 422, "invalid"),
    ],
)
def test_what_cannot_be_registered(client: FlaskClient, change: Any, status: int, code: str) -> None:
    assert client.post("/api/v1/auth/register", json=NEW).status_code == 201
    answer = client.post("/api/v1/auth/register", json=NEW | change)
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert answer.content_type == "application/problem+json"


def test_a_password_is_taken_with_its_spaces(client: FlaskClient) -> None:
    client.post("/api/v1/auth/register", json=NEW | {"password": "  spaced out  "})
    login = {"identifier": "reader", "password": "spaced out"}
    assert client.post("/api/v1/auth/login", json=login).status_code == 401
    login["password"] = "  spaced out  "
    assert client.post("/api/v1/auth/login", json=login).status_code == 200


@pytest.mark.parametrize("identifier", ["reader", "READER", "reader@example.com", "Reader@Example.COM"])
def test_signing_in_by_name_or_mail(client: FlaskClient, user: Any, identifier: str) -> None:
    answer = client.post("/api/v1/auth/login", json={"identifier": identifier, "password": PASSWORD})
    assert answer.status_code == 200
    assert answer.json.keys() >= {"access_token", "refresh_token", "token_type", "expires_in"}
    assert answer.headers["Cache-Control"] == "no-store"


def test_unknown_name_and_wrong_password_look_the_same(client: FlaskClient, user: Any) -> None:
    def attempt(name: str) -> tuple[int, Any]:
        answer = client.post("/api/v1/auth/login", json={"identifier": name, "password": "wrong password"})
        return answer.status_code, {**answer.json, "request_id": ""}

    assert attempt("reader") == attempt("nobody")
    assert attempt("reader")[0] == 401


@pytest.mark.parametrize("path", ["/api/v1/auth/me", "/api/v1/users/me"])
def test_me(client: FlaskClient, user: Any, sign_in: SignIn, path: str) -> None:
    answer = me(client, sign_in(user), path)
    assert (answer.status_code, answer.json["id"], answer.json["email"]) == (200, user["id"], user["email"])
    assert client.get(path).status_code == 401
    assert client.get(path).headers["WWW-Authenticate"].startswith("Bearer")


def test_refreshing_rotates(client: FlaskClient, user: Any, sign_in: SignIn) -> None:
    first = sign_in(user)
    answer = refresh(client, first["refresh_token"])
    assert answer.status_code == 200
    assert answer.json.keys() == first.keys()
    assert answer.json["refresh_token"] != first["refresh_token"]
    assert me(client, answer.json).status_code == 200


def test_an_old_token_in_the_header_does_no_harm(client: FlaskClient, user: Any, sign_in: SignIn) -> None:
    """Many a client sends its token with each request, also when it has expired and is to be replaced."""
    old = {"Authorization": "Bearer expired"}
    again = client.post("/api/v1/auth/login", json={"identifier": user["username"], "password": PASSWORD}, headers=old)
    assert again.status_code == 200
    refreshed = client.post("/api/v1/auth/refresh", json={"refresh_token": again.json["refresh_token"]}, headers=old)
    assert refreshed.status_code == 200
    forgotten = client.post("/api/v1/auth/password-reset", json={"email": user["email"]}, headers=old)
    assert forgotten.status_code == 202


def test_reuse_after_the_grace_revokes_the_family_for_good(
    client: FlaskClient, user: Any, sign_in: SignIn, database: Database
) -> None:
    """The trap: theft was noticed, and the revocation rolled back with the failing request."""
    stolen = sign_in(user)["refresh_token"]
    current = refresh(client, refresh(client, stolen).json["refresh_token"]).json
    with database.transaction() as session:
        session.execute(update(RefreshToken).values(used_at=RefreshToken.used_at - text("interval '11 seconds'")))
    reused = refresh(client, stolen)
    assert (reused.status_code, reused.json["code"]) == (401, "invalid_refresh_token")
    with database.read() as session:
        assert session.scalars(select(TokenFamily.revoked_because)).all() == ["refresh_token_reused"]
    assert refresh(client, current["refresh_token"]).status_code == 401
    assert me(client, current).status_code == 401


def test_nothing_that_lets_in_is_stored_in_clear(
    client: FlaskClient, user: Any, sign_in: SignIn, database: Database
) -> None:
    tokens = sign_in(user)
    with database.read() as session:
        for table in ("users", "sessions", "token_families", "refresh_tokens", "signing_keys", "outbox"):
            rows = str(session.execute(text(f"SELECT t::text FROM {table} t")).all())
            assert tokens["refresh_token"] not in rows
            assert tokens["refresh_token"].encode().hex() not in rows
            assert PASSWORD not in rows
            assert b"PRIVATE KEY".hex() not in rows


def test_tokens_are_not_taken_for_each_other(client: FlaskClient, user: Any, sign_in: SignIn) -> None:
    tokens = sign_in(user)
    swapped = {"access_token": tokens["refresh_token"], "refresh_token": tokens["access_token"]}
    assert me(client, swapped).status_code == 401
    assert refresh(client, swapped["refresh_token"]).status_code == 401


def test_logout_ends_the_session_and_not_the_account(
    client: FlaskClient, user: Any, sign_in: SignIn, database: Database
) -> None:
    tokens, elsewhere = sign_in(user), sign_in(user)
    assert client.post("/api/v1/auth/logout", headers=bearer(tokens)).status_code == 204
    assert refresh(client, tokens["refresh_token"]).status_code == 401
    assert me(client, tokens).status_code == 401
    assert me(client, elsewhere).status_code == 200
    assert me(client, sign_in(user)).json["is_active"] is True
    with database.read() as session:
        assert session.scalar(select(SignInSession.id).where(SignInSession.ended_at.is_not(None)))


def test_a_deactivated_user_is_out_at_once(client: FlaskClient, user: Any, sign_in: SignIn, database: Database) -> None:
    tokens = sign_in(user)
    with database.transaction() as session:
        session.execute(update(User).values(is_active=False))
    assert me(client, tokens).status_code == 401
    assert refresh(client, tokens["refresh_token"]).status_code == 401
    login = {"identifier": "reader", "password": PASSWORD}
    assert client.post("/api/v1/auth/login", json=login).status_code == 401


def test_a_role_comes_from_the_account_and_never_from_a_token(
    client: FlaskClient, make_user: Any, sign_in: SignIn, database: Database
) -> None:
    tokens = sign_in(make_user("boss", role="admin"))
    assert "users:manage" in tokens["scope"]
    with database.transaction() as session:
        session.execute(update(User).values(role="customer"))
    assert me(client, tokens).status_code == 401
    renewed = refresh(client, tokens["refresh_token"]).json
    assert "users:manage" not in renewed["scope"]
    assert me(client, renewed).json["role"] == "customer"
    assert client.get("/api/v1/admin/clients", headers=bearer(renewed)).status_code == 403


def test_a_family_has_an_absolute_end(client: FlaskClient, user: Any, sign_in: SignIn, database: Database) -> None:
    token = sign_in(user)["refresh_token"]
    with database.transaction() as session:
        session.execute(update(TokenFamily).values(expires_at=utcnow()))
    assert refresh(client, token).status_code == 401


@pytest.mark.parametrize("token", ["", "x", "é" * 400, "a.b.c", "\x00"])
def test_odd_refresh_tokens_are_refused(client: FlaskClient, token: str) -> None:
    assert refresh(client, token).status_code in (401, 422)
