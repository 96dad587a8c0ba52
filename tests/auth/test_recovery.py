"""Passwords changed and set anew, and mail addresses verified."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from auth_service import timers
from auth_service.config import AuthConfig
from auth_service.models import Ticket, User
from common.db import Database, utcnow
from tests.auth.letters import subjects, token_in, written
from tests.auth.support import Browser, hidden_fields

NEW = "another walk at dawn"
API = "/api/v1/auth"


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


@pytest.fixture
def ask(client: FlaskClient, database: Database, config: AuthConfig) -> Any:
    """Asks for a reset link and lets the worker write it; gives the tokens of all such mails."""

    def asked(email: str) -> list[str]:
        assert client.post(f"{API}/password-reset", json={"email": email}).status_code == 202
        timers.send_reset_links(database, config)
        return [token_in(each) for each in written(database) if "Choose a new" in each.subject]

    return asked


def test_a_new_password_by_mail_ends_all_sessions(
    client: FlaskClient, user: Any, sign_in: Any, ask: Any, database: Database
) -> None:
    old = sign_in(user)
    (token,) = ask(user["email"].upper())
    body = {"token": token, "password": NEW}
    assert client.post(f"{API}/password-reset/confirm", json=body).status_code == 204
    assert client.get(f"{API}/me", headers=bearer(old)).status_code == 401
    refreshed = client.post(f"{API}/refresh", json={"refresh_token": old["refresh_token"]})
    assert refreshed.status_code == 401
    assert sign_in(user | {"password": NEW})
    again = client.post(f"{API}/password-reset/confirm", json=body)
    assert (again.status_code, again.json["code"]) == (422, "link_expired")
    assert subjects(database)[-1] == "Your password was changed"


def test_nobody_learns_whether_there_is_an_account(
    client: FlaskClient, user: Any, ask: Any, database: Database
) -> None:
    answers = [
        client.post(f"{API}/password-reset", json={"email": each}) for each in (user["email"], "no@body.example")
    ]
    assert {(each.status_code, each.data) for each in answers} == {(202, b"")}
    assert written(database) == [], "the request itself looks nobody up"
    assert ask("no@body.example") != []
    assert [each.recipient for each in written(database)] == [user["email"]]


def test_links_expire_and_are_for_one_purpose(client: FlaskClient, user: Any, ask: Any, database: Database) -> None:
    (token,) = ask(user["email"])
    assert client.post(f"{API}/verify-email", json={"token": token}).status_code == 422
    assert client.get(f"{API}/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    with database.transaction() as session:
        session.execute(update(Ticket).values(expires_at=utcnow() - timedelta(seconds=1)))
    body = {"token": token, "password": NEW}
    assert client.post(f"{API}/password-reset/confirm", json=body).status_code == 422


def test_a_weak_password_leaves_the_link_good(client: FlaskClient, user: Any, ask: Any) -> None:
    (token,) = ask(user["email"])
    weak = client.post(f"{API}/password-reset/confirm", json={"token": token, "password": "password1"})
    assert (weak.status_code, weak.json["errors"][0]["field"]) == (422, "password")
    body = {"token": token, "password": NEW}
    assert client.post(f"{API}/password-reset/confirm", json=body).status_code == 204


def test_only_a_hash_of_the_link_is_kept(user: Any, ask: Any, database: Database) -> None:
    (token,) = ask(user["email"])
    with database.read() as session:
        kept = session.scalars(select(Ticket)).all()
        assert all(token not in str(each.data) and token.encode() != bytes(each.secret_hash) for each in kept)


def test_of_two_who_use_a_link_at_once_one_succeeds(app: Flask, user: Any, ask: Any) -> None:
    (token,) = ask(user["email"])
    body = {"token": token, "password": NEW}
    with ThreadPoolExecutor(4) as threads:
        jobs = [
            threads.submit(lambda: app.test_client().post(f"{API}/password-reset/confirm", json=body).status_code)
            for _ in range(4)
        ]
    assert sorted(job.result() for job in jobs) == [204, 422, 422, 422]


def test_a_mailbox_is_not_flooded(user: Any, ask: Any, database: Database) -> None:
    for _ in range(12):
        ask(user["email"])
    assert len(written(database)) == 8


def test_a_changed_password_ends_the_other_sessions(client: FlaskClient, user: Any, sign_in: Any) -> None:
    other, mine = sign_in(user), sign_in(user)
    body = {"current_password": user["password"], "password": NEW}
    assert client.post(f"{API}/password", json=body, headers=bearer(mine)).status_code == 204
    assert client.get(f"{API}/me", headers=bearer(mine)).status_code == 200
    assert client.get(f"{API}/me", headers=bearer(other)).status_code == 401


def test_the_current_password_is_needed_and_cannot_be_guessed(client: FlaskClient, user: Any, sign_in: Any) -> None:
    mine = bearer(sign_in(user))
    body = {"current_password": "wrong password", "password": NEW}
    codes = [client.post(f"{API}/password", json=body, headers=mine).status_code for _ in range(9)]
    assert codes == [403] * 8 + [429]


def test_a_mail_address_is_verified_by_the_link_in_the_mail(
    client: FlaskClient, sign_in: Any, database: Database
) -> None:
    person = {"username": "fresh", "email": "fresh@example.com", "password": NEW}
    assert client.post(f"{API}/register", json=person).json["email_verified"] is False
    (letter,) = written(database)
    assert client.post(f"{API}/verify-email", json={"token": token_in(letter)}).status_code == 204
    assert client.get(f"{API}/me", headers=bearer(sign_in(person))).json["email_verified"] is True
    assert client.post(f"{API}/verify-email", json={"token": token_in(letter)}).status_code == 422


def test_a_link_does_not_verify_an_address_that_came_later(
    client: FlaskClient, sign_in: Any, database: Database
) -> None:
    person = {"username": "fresh", "email": "fresh@example.com", "password": NEW}
    client.post(f"{API}/register", json=person)
    mine = bearer(sign_in(person))
    assert client.patch("/api/v1/users/me", json={"email": "else@example.com"}, headers=mine).status_code == 200
    first, second, _ = written(database)
    assert second.recipient == "else@example.com"
    assert client.post(f"{API}/verify-email", json={"token": token_in(second)}).status_code == 204
    assert client.post(f"{API}/verify-email", json={"token": token_in(first)}).status_code == 422


def test_sign_in_can_be_made_to_wait_for_it(app: Flask, client: FlaskClient, user: Any, database: Database) -> None:
    authority = app.extensions["authority"]
    app.extensions["authority"] = replace(authority, config=replace(authority.config, require_verified_email=True))
    body = {"identifier": user["username"], "password": user["password"]}
    refused = client.post(f"{API}/login", json=body)
    assert (refused.status_code, refused.json["code"]) == (403, "email_not_verified")
    fields = hidden_fields(client.get("/account/sign-in").text)
    page = client.post("/account/sign-in", data=fields | body)
    assert (page.status_code, "Set-Cookie" in page.headers) == (403, False)
    assert client.post(f"{API}/verify-email", json={"token": token_in(written(database)[0])}).status_code == 204
    assert client.post(f"{API}/login", json=body).status_code == 200


def test_the_pages_do_the_same(browser: Browser, ask: Any, database: Database, config: AuthConfig) -> None:
    http, person = browser.http, browser.person
    fields = hidden_fields(http.get("/account/forgot-password").text)
    sent = http.post("/account/forgot-password", data=fields | {"email": person["email"]})
    assert "Look into your mail" in sent.text
    timers.send_reset_links(database, config)
    token = token_in(written(database)[-1])
    fields = hidden_fields(http.get(f"/account/reset-password?token={token}").text)
    weak = http.post("/account/reset-password", data=fields | {"password": "password1"})
    assert (weak.status_code, "most common" in weak.text) == (422, True)
    done = http.post("/account/reset-password", data=fields | {"password": NEW})
    assert (done.status_code, "Your new password is set" in done.text) == (200, True)
    used = http.post("/account/reset-password", data=fields | {"password": NEW})
    assert (used.status_code, "used already" in used.text) == (422, True)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(User).where(User.email_verified)) == 1


def test_looking_at_the_link_uses_nothing_up(client: FlaskClient, database: Database) -> None:
    client.post(f"{API}/register", json={"username": "fresh", "email": "fresh@example.com", "password": NEW})
    token = token_in(written(database)[0])
    for _ in range(2):
        page = client.get(f"/account/verify-email?token={token}")
    assert client.post("/account/verify-email", data={"token": token}).status_code == 403, "no proof of our form"
    done = client.post("/account/verify-email", data=hidden_fields(page.text))
    assert "Thank you" in done.text
