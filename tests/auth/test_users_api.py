"""/api/v1/users/me: changing and erasing one's own account."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from auth_service.api import authority
from auth_service.models import Passkey
from common.db import Database, utcnow
from common.events.auth import UserErased, UserUpdated
from tests.auth.conftest import PASSWORD
from tests.auth.letters import token_in, written
from tests.auth.support import Browser, Pkce, hidden_fields, query, register_client
from tests.auth.test_authorize import consent_page, decide
from tests.support.database import emitted

PATH = "/api/v1/users/me"


@pytest.fixture
def own(user: Any, sign_in: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {sign_in(user)['access_token']}"}


def test_a_change_is_told_to_the_others(client: FlaskClient, own: dict[str, str], database: Database) -> None:
    answer = client.patch(PATH, json={"username": "Bookworm"}, headers=own)
    assert (answer.status_code, answer.json["username"], answer.json["email"]) == (
        200,
        "Bookworm",
        "reader@example.com",
    )
    event = emitted(database)[-1]
    assert isinstance(event, UserUpdated)
    assert event.username == "Bookworm"


def test_a_new_address_counts_once_it_is_confirmed(
    client: FlaskClient, own: dict[str, str], database: Database
) -> None:
    both = {"username": "worm", "email": "worm@example.com"}
    changed = client.put(PATH, json=both, headers=own).json
    assert (changed["username"], changed["email"], changed["pending_email"]) == (
        "worm",
        "reader@example.com",
        "worm@example.com",
    )
    assert login(client, "WORM@example.com") == 401
    to_new, to_old = written(database)
    assert (to_new.recipient, to_old.recipient) == ("worm@example.com", "reader@example.com")
    assert "worm@example.com" in to_old.text
    verify = {"token": token_in(to_new)}
    assert client.post("/api/v1/auth/verify-email", json=verify).status_code == 204
    mine = client.get(PATH, headers=own).json
    assert (mine["email"], mine["email_verified"], mine["pending_email"]) == ("worm@example.com", True, None)
    assert login(client, "WORM@example.com") == 200
    event = emitted(database)[-1]
    assert isinstance(event, UserUpdated)
    assert event.email == "worm@example.com"
    assert client.post("/api/v1/auth/verify-email", json=verify).status_code == 422


@pytest.mark.parametrize("is_confirmed", [True, False])
def test_the_old_address_undoes_it_and_ends_all_sessions(
    client: FlaskClient, own: dict[str, str], database: Database, is_confirmed: bool
) -> None:
    client.patch(PATH, json={"email": "thief@example.com"}, headers=own)
    to_new, to_old = written(database)
    if is_confirmed:
        client.post("/api/v1/auth/verify-email", json={"token": token_in(to_new)})
        stranger = {"username": "stranger", "email": "reader@example.com", "password": PASSWORD}
        assert client.post("/api/v1/auth/register", json=stranger).status_code == 409, "the owner may want it back"
    path = "/account/undo-address"
    fields = hidden_fields(client.get(f"{path}?token={token_in(to_old)}").text)
    assert client.post(path, data=fields).status_code == 200
    assert client.get(PATH, headers=own).status_code == 401
    assert login(client, "reader@example.com") == 200
    assert login(client, "thief@example.com") == 401
    assert client.post("/api/v1/auth/verify-email", json={"token": token_in(to_new)}).status_code == 422
    assert client.post(path, data=fields).status_code == 422


def test_what_was_bound_meanwhile_goes_with_it(
    client: FlaskClient, own: dict[str, str], user: Any, database: Database
) -> None:
    """A passkey from before stays, one of whoever began to change the address does not."""
    client.patch(PATH, json={"email": "thief@example.com"}, headers=own)
    _, to_old = written(database)
    made = {"user_id": UUID(user["id"]), "public_key": b"k", "sign_count": 0, "name": "Key"}
    with database.transaction() as session:
        session.add(Passkey(credential_id=b"before", created_at=utcnow() - timedelta(days=1), **made))
        session.add(Passkey(credential_id=b"theirs", **made))
    fields = hidden_fields(client.get(f"/account/undo-address?token={token_in(to_old)}").text)
    assert client.post("/account/undo-address", data=fields).status_code == 200
    with database.read() as session:
        assert [bytes(each) for each in session.scalars(select(Passkey.credential_id))] == [b"before"]


def test_staff_tell_both_addresses_of_a_change(
    client: FlaskClient, user: Any, admin: dict[str, str], database: Database
) -> None:
    found = client.get(f"/api/v1/admin/users/{user['id']}", headers=admin).json
    change = {name: found[name] for name in ("username", "role", "is_active")} | {"email": "new@example.com"}
    assert client.put(f"/api/v1/admin/users/{user['id']}", json=change, headers=admin).status_code == 200
    assert [each.recipient for each in written(database)] == ["reader@example.com", "new@example.com"]


def login(client: FlaskClient, identifier: str) -> int:
    return client.post("/api/v1/auth/login", json={"identifier": identifier, "password": PASSWORD}).status_code


def test_a_new_address_takes_a_fresh_sign_in(
    client: FlaskClient, own: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authority, "utcnow", lambda: utcnow() + timedelta(hours=1))
    same = {"username": "worm", "email": "reader@example.com"}
    assert client.put(PATH, json=same, headers=own).status_code == 200
    for refused in (
        client.put(PATH, json=same | {"email": "thief@example.com"}, headers=own),
        client.patch(PATH, json={"email": "thief@example.com"}, headers=own),
    ):
        assert (refused.status_code, refused.json["code"]) == (401, "sign_in_too_old")
    assert client.get(PATH, headers=own).json["email"] == "reader@example.com"


def test_one_may_write_ones_own_name_otherwise(client: FlaskClient, own: dict[str, str]) -> None:
    assert client.patch(PATH, json={"username": "READER"}, headers=own).json["username"] == "READER"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"username": "Other"}, 409),
        ({"email": "OTHER@example.com"}, 409),
        ({"username": ""}, 422),
        ({"username": None}, 422),
        ({"email": "x"}, 422),
        ({"role": "admin"}, 422),
    ],
)
def test_what_cannot_be_changed(
    client: FlaskClient, own: dict[str, str], make_user: Any, change: dict[str, Any], status: int
) -> None:
    make_user("other")
    assert client.patch(PATH, json=change, headers=own).status_code == status
    assert client.get(PATH, headers=own).json["username"] == "reader"


def test_replacing_needs_everything(client: FlaskClient, own: dict[str, str]) -> None:
    assert client.put(PATH, json={"username": "worm"}, headers=own).status_code == 422


def test_an_app_of_somebody_else_changes_nothing(browser: Browser, database: Database) -> None:
    client_id, _ = register_client(database, token_endpoint_auth_method="none")
    pkce = Pkce()
    code = query(decide(browser, consent_page(browser, client_id, pkce), "allow").location)["code"]
    token = browser.redeem(code, client_id, pkce).json["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert browser.http.get(PATH, headers=headers).status_code == 200
    assert browser.http.patch(PATH, json={"email": "thief@example.com"}, headers=headers).status_code == 403
    assert browser.http.delete(PATH, headers=headers).status_code == 403


def test_mail_is_told_only_to_who_may_see_it(browser: Browser, public_client: str) -> None:
    token = browser.tokens(public_client, scope="openid orders:read")["access_token"]
    assert browser.http.get(PATH, headers={"Authorization": f"Bearer {token}"}).status_code == 403


def test_erasing(client: FlaskClient, own: dict[str, str], user: Any, database: Database) -> None:
    assert client.delete(PATH, headers=own).status_code == 204
    assert client.get(PATH, headers=own).status_code == 401
    event = emitted(database)[-1]
    assert isinstance(event, UserErased)
    assert str(event.user_id) == user["id"]
    login = {"identifier": "reader", "password": PASSWORD}
    assert client.post("/api/v1/auth/login", json=login).status_code == 401


def test_the_last_admin_stays(client: FlaskClient, admin: dict[str, str], make_user: Any) -> None:
    refused = client.delete(PATH, headers=admin)
    assert (refused.status_code, refused.json["code"]) == (409, "last_admin")
    make_user("second", role="admin")
    assert client.delete(PATH, headers=admin).status_code == 204
