"""What becomes of an account while somebody waits for the hash of its password; and that waiting keeps nothing."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient

from auth_service import timers
from auth_service.app import create_app
from auth_service.config import AuthConfig
from auth_service.domain import administration, passwords, second_factor
from auth_service.models import SignInSession, User
from common.db import Database
from tests.auth.letters import token_in, written
from tests.auth.support import Browser, Pkce, authorization, hidden_fields
from tests.auth.test_second_factor import Clock

API = "/api/v1/auth"
NEW = "another walk at dawn"
Meanwhile = Callable[[Callable[[], Any]], None]


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Does something when the next hash is computed, before anybody hears of it."""
    waiting: list[Callable[[], Any]] = []
    real = passwords._in_turn

    def turn(work: Callable[[], Any], *room: Any) -> Any:
        outcome = real(work, *room)
        if waiting:
            other = threading.Thread(target=waiting.pop())  # a request's context is its thread's
            other.start()
            other.join()
        return outcome

    monkeypatch.setattr(passwords, "_in_turn", turn)
    return waiting.append


@pytest.fixture
def change(database: Database) -> Callable[[str, Callable[[Any, User], Any]], Callable[[], None]]:
    def later(user_id: str, how: Callable[[Any, User], Any]) -> Callable[[], None]:
        def now() -> None:
            with database.transaction() as session:
                how(session, session.get_one(User, UUID(user_id)))

        return now

    return later


def login(client: FlaskClient, user: dict[str, Any]) -> Any:
    return client.post(f"{API}/login", json={"identifier": user["username"], "password": user["password"]})


def living_sessions(database: Database) -> int:
    with database.read() as session:
        return session.query(SignInSession).where(SignInSession.ended_at.is_(None)).count()


def test_a_sign_in_does_not_outlive_the_account(
    client: FlaskClient, user: Any, meanwhile: Meanwhile, change: Any, database: Database
) -> None:
    meanwhile(change(user["id"], administration.deactivate))
    answer = login(client, user)
    assert (answer.status_code, answer.json["code"]) == (401, "invalid_credentials")
    assert living_sessions(database) == 0


def test_the_page_lets_nobody_in_who_was_just_deactivated(
    browser: Browser, public_client: str, user: Any, meanwhile: Meanwhile, change: Any, database: Database
) -> None:
    asked = browser.authorize(**authorization(public_client, Pkce()))
    meanwhile(change(user["id"], administration.deactivate))
    assert browser.sign_in(asked).status_code == 401
    assert living_sessions(database) == 0


def test_the_role_is_that_of_the_end(client: FlaskClient, make_user: Any, meanwhile: Meanwhile, change: Any) -> None:
    boss = make_user("boss", role="admin")
    meanwhile(change(boss["id"], lambda _, user: setattr(user, "role", "customer")))
    token = login(client, boss).json["access_token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["role"] == "customer"
    assert "users:manage" not in claims["scope"]


def test_an_old_password_lets_nobody_in_after_its_change(
    client: FlaskClient, user: Any, sign_in: Any, meanwhile: Meanwhile, database: Database
) -> None:
    mine = {"Authorization": f"Bearer {sign_in(user)['access_token']}"}
    body = {"current_password": user["password"], "password": NEW}
    meanwhile(lambda: client.post(f"{API}/password", json=body, headers=mine))
    answer = login(client, user)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1"), "whose password it is, is open again"
    assert login(client, user).status_code == 401
    assert login(client, user | {"password": NEW}).status_code == 200


def test_two_who_change_a_password_at_once(client: FlaskClient, user: Any, sign_in: Any, meanwhile: Meanwhile) -> None:
    mine = {"Authorization": f"Bearer {sign_in(user)['access_token']}"}
    body = {"current_password": user["password"], "password": NEW}
    meanwhile(lambda: client.post(f"{API}/password", json=body | {"password": "a third one there"}, headers=mine))
    assert client.post(f"{API}/password", json=body, headers=mine).status_code == 403
    assert login(client, user | {"password": "a third one there"}).status_code == 200


def test_a_recovery_code_does_not_outlive_the_password(
    client: FlaskClient, browser: Browser, user: Any, sign_in: Any, meanwhile: Meanwhile, monkeypatch: Any
) -> None:
    clock = Clock(monkeypatch)
    mine = {"Authorization": f"Bearer {sign_in(user)['access_token']}"}
    secret = client.post(f"{API}/mfa/totp", headers=mine).json["secret"]
    codes = client.post(f"{API}/mfa/totp/confirm", json={"code": clock.code(secret)}, headers=mine).json
    form = browser.http.get("/account/sign-in").text
    typed = {"identifier": user["username"], "password": user["password"]}
    second = browser.http.post("/account/sign-in", data=hidden_fields(form) | typed)
    fields = hidden_fields(browser.http.get(second.location).text) | {"code": codes["recovery_codes"][0]}
    body = {"current_password": user["password"], "password": NEW}
    meanwhile(lambda: client.post(f"{API}/password", json=body, headers=mine))
    answer = browser.http.post("/account/second-factor", data=fields)
    assert answer.location.startswith("/account/sign-in")
    assert browser.http.get("/account").status_code == 303, "nobody is signed in"


def test_of_guesses_that_wait_together_only_so_many_are_answered(
    client: FlaskClient, app: Flask, user: Any, meanwhile: Meanwhile
) -> None:
    """Each was let in when the count was low; it is looked at again when the hash is there."""
    wrong = user | {"password": "wrong password"}
    meanwhile(lambda: [login(app.test_client(), wrong) for _ in range(8)])
    assert login(client, user).status_code == 429


@pytest.fixture
def held(database: Database, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many connections were in use at each hash."""
    seen: list[int] = []
    real = passwords._in_turn

    def turn(work: Callable[[], Any], *room: Any) -> Any:
        seen.append(database.engine.pool.checkedout())  # type: ignore[attr-defined]
        return real(work, *room)

    monkeypatch.setattr(passwords, "_in_turn", turn)
    return seen


def test_no_connection_is_held_while_waiting(
    client: FlaskClient, browser: Browser, user: Any, database: Database, config: AuthConfig, held: list[int]
) -> None:
    mine = {"Authorization": f"Bearer {login(client, user).json['access_token']}"}
    client.post(f"{API}/password", json={"current_password": user["password"], "password": NEW}, headers=mine)
    client.post(f"{API}/password-reset", json={"email": user["email"]})
    timers.send_reset_links(database, config)
    token = token_in(written(database)[-1])
    body = {"token": token, "password": user["password"]}
    assert client.post(f"{API}/password-reset/confirm", json=body).status_code == 204
    new = {"username": "somebody", "email": "somebody@example.com", "password": NEW}
    assert client.post(f"{API}/register", json=new).status_code == 201
    form = hidden_fields(browser.http.get("/account/sign-in").text)
    typed = {"identifier": user["username"], "password": user["password"]}
    assert browser.http.post("/account/sign-in", data=form | typed).status_code == 303
    assert held == [0] * 6


def test_a_recovery_code_waits_with_nothing_held(
    client: FlaskClient, user: Any, sign_in: Any, held: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    mine = {"Authorization": f"Bearer {sign_in(user)['access_token']}"}
    secret = client.post(f"{API}/mfa/totp", headers=mine).json["secret"]
    codes = client.post(f"{API}/mfa/totp/confirm", json={"code": clock.code(secret)}, headers=mine).json
    held.clear()
    body = {"identifier": user["username"], "password": user["password"], "otp": codes["recovery_codes"][0]}
    assert client.post(f"{API}/login", json=body).status_code == 200
    assert held == [0, 0]


def test_who_finds_no_place_to_wait_is_refused_at_once_and_others_are_not(
    client: FlaskClient, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords.waiting_room, "_places", threading.BoundedSemaphore(0))
    answer = login(client, user)
    assert (answer.status_code, answer.json["code"], answer.headers["Retry-After"]) == (503, "unavailable", "2")
    assert client.get("/.well-known/jwks.json").status_code == 200


def test_a_place_is_free_again_afterwards(client: FlaskClient, user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords.waiting_room, "_places", threading.BoundedSemaphore(1))
    wrong = user | {"password": "wrong password"}
    assert [login(client, each).status_code for each in (user, wrong, user)] == [200, 401, 200]


def test_most_threads_may_wait_and_some_never_do(config: AuthConfig) -> None:
    assert 60 <= config.most_waiting_for_a_hash < config.web_threads
    assert config.web_connections < config.web_threads - config.most_waiting_for_a_hash
    create_app(config).extensions["database"].close()
    assert passwords.waiting_room._places._initial_value == config.most_waiting_for_a_hash  # type: ignore[attr-defined]


def test_the_machine_does_not_say_how_many_hash_at_once(config: AuthConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    passwords._threads.cache_clear()
    try:
        assert passwords._threads()._max_workers == config.hash_threads == 1
    finally:
        passwords._threads.cache_clear()


def test_only_what_may_be_a_recovery_code_is_hashed(user: Any, held: list[int]) -> None:
    assert second_factor.shown(UUID(user["id"]), "123 456").recovery_hash is None
    assert held == []
