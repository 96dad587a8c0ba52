"""Guessing passwords is slowed down, by name and by address, and floods by address, in all processes together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from auth_service.app import create_app
from auth_service.config import AuthConfig
from auth_service.domain import throttle, tickets
from auth_service.models import FailedSignIns, Ticket
from common.db import Database, utcnow
from tests.auth.conftest import PASSWORD
from tests.auth.support import hidden_fields, register_client

WRONG = "wrong password"


def attempt(client: FlaskClient, name: str, password: str = WRONG, address: str = "192.0.2.1") -> Any:
    body = {"identifier": name, "password": password}
    return client.post("/api/v1/auth/login", json=body, headers={"X-Forwarded-For": address})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "MOST_PER_ACCOUNT", 3)
    monkeypatch.setattr(throttle, "MOST_PER_ACCOUNT_ANYWHERE", 7)
    monkeypatch.setattr(throttle, "MOST_PER_ADDRESS", 5)
    monkeypatch.setattr(throttle, "MOST_REQUESTS", 3)


@pytest.mark.parametrize("name", ["reader", "nobody"])
def test_a_name_is_throttled_whether_it_exists_or_not(client: FlaskClient, user: Any, name: str) -> None:
    assert [attempt(client, name).status_code for _ in range(5)] == [401, 401, 401, 429, 429]
    refused = attempt(client, name.upper(), PASSWORD)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 300


def test_nobody_keeps_the_owner_out_from_elsewhere(client: FlaskClient, user: Any) -> None:
    for _ in range(4):
        attempt(client, "reader", address="192.0.2.66")
    assert attempt(client, "reader", PASSWORD).status_code == 200
    assert attempt(client, "reader", PASSWORD, address="192.0.2.66").status_code == 429


@pytest.mark.parametrize("name", ["reader", "nobody"])
def test_guesses_from_everywhere_have_an_end(client: FlaskClient, user: Any, name: str) -> None:
    answers = [attempt(client, name, address=f"192.0.2.{n}").status_code for n in range(9)]
    assert answers == [401] * 7 + [429] * 2


def test_an_address_is_throttled_over_all_names(client: FlaskClient, user: Any) -> None:
    assert [attempt(client, f"name{n}").status_code for n in range(6)] == [401] * 5 + [429]
    assert attempt(client, "reader", PASSWORD).status_code == 429
    assert attempt(client, "reader", PASSWORD, address="198.51.100.7").status_code == 200


def test_the_count_is_shared_by_processes(app: Flask, config: AuthConfig, database: Database, user: Any) -> None:
    other = create_app(config)
    other.extensions["database"].close()
    other.extensions["database"] = database
    clients = [app.test_client(), other.test_client()]
    assert [attempt(clients[n % 2], "reader").status_code for n in range(4)] == [401, 401, 401, 429]


def test_success_forgives_the_name(client: FlaskClient, user: Any) -> None:
    for _ in range(2):
        attempt(client, "reader")
    assert attempt(client, "reader", PASSWORD).status_code == 200
    assert [attempt(client, "reader").status_code for _ in range(3)] == [401] * 3


def test_success_is_not_counted(client: FlaskClient, user: Any) -> None:
    assert {attempt(client, "reader", PASSWORD).status_code for _ in range(8)} == {200}


def test_the_window_passes(client: FlaskClient, user: Any, database: Database) -> None:
    for _ in range(4):
        attempt(client, "reader")
    with database.transaction() as session:
        session.execute(update(FailedSignIns).values(expires_at=utcnow()))
    assert attempt(client, "reader").status_code == 401
    assert attempt(client, "reader", PASSWORD).status_code == 200


def test_a_setting_switches_it_off(config: AuthConfig, database: Database, user: Any) -> None:
    app = create_app(replace(config, rate_limits_enabled=False))
    app.extensions["database"].close()
    app.extensions["database"] = database
    assert {attempt(app.test_client(), "reader").status_code for _ in range(7)} == {401}
    assert {register(app.test_client(), f"new{n}").status_code for n in range(5)} == {201}
    assert {ask(app.test_client(), "192.0.2.1").status_code for _ in range(5)} == {202}


def register(client: FlaskClient, name: str, address: str = "192.0.2.1") -> Any:
    body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
    return client.post("/api/v1/auth/register", json=body, headers={"X-Forwarded-For": address})


def ask(client: FlaskClient, address: str) -> Any:
    body = {"email": "reader@example.com"}
    return client.post("/api/v1/auth/password-reset", json=body, headers={"X-Forwarded-For": address})


def test_registrations_from_one_address_have_an_end(client: FlaskClient, user: Any) -> None:
    """One that is refused for its fields costs nothing; one whose name is taken does."""
    assert [register(client, "x").status_code for _ in range(4)] == [422] * 4
    assert [register(client, name).status_code for name in ("new", "reader", "newer", "newest")] == [201, 409, 201, 429]
    refused = register(client, "newest")
    assert (refused.status_code, refused.json["code"]) == (429, "too_many_requests")
    assert 0 < int(refused.headers["Retry-After"]) <= 300
    assert register(client, "newest", address="198.51.100.7").status_code == 201
    assert attempt(client, "new", PASSWORD).status_code == 200


def test_the_page_says_so_too(app: Flask) -> None:
    for path, fields in (("register", {"username": "new", "password": PASSWORD}), ("forgot-password", {})):
        client, seen = app.test_client(), []
        for number in range(4):
            form = hidden_fields(client.get(f"/account/{path}").text) | fields | {"email": f"new{number}@example.com"}
            seen.append(client.post(f"/account/{path}", data=form | {"username": f"new{number}"}))
        assert seen[3].status_code == 429
        assert "Too many requests" in seen[3].text
        assert seen[3].headers["Retry-After"]


def test_requests_for_a_new_password_have_an_end(client: FlaskClient, user: Any, database: Database) -> None:
    assert [ask(client, "192.0.2.1").status_code for _ in range(4)] == [202] * 3 + [429]
    assert 0 < int(ask(client, "192.0.2.1").headers["Retry-After"]) <= 300
    with database.read() as session:
        assert session.query(Ticket).where(Ticket.purpose == tickets.RESET_ASKED).count() == 3
    assert ask(client, "198.51.100.7").status_code == 202


def test_an_address_that_a_client_makes_up_is_not_believed(client: FlaskClient, user: Any) -> None:
    """Only the hop that our own proxy added counts."""
    answers = [attempt(client, f"n{n}", address=f"10.0.0.{n}, 192.0.2.1").status_code for n in range(6)]
    assert answers[-1] == 429


def test_an_account_has_one_count_by_whatever_name(client: FlaskClient, user: Any) -> None:
    names = ["reader", "reader@example.com", "READER", "Reader@EXAMPLE.com"]
    assert [attempt(client, name).status_code for name in names] == [401, 401, 401, 429]


def test_a_network_of_ipv6_is_one_address(client: FlaskClient, user: Any) -> None:
    answers = [attempt(client, f"n{n}", address=f"2001:db8:0:1::{n}").status_code for n in range(6)]
    assert answers == [401] * 5 + [429]
    assert attempt(client, "reader", PASSWORD, address="2001:db8:0:2::1").status_code == 200


def test_a_site_of_ipv6_bears_a_few_times_as_much(client: FlaskClient, user: Any) -> None:
    answers = [attempt(client, f"n{n}", address=f"2001:db8:0:{n:x}::1").status_code for n in range(21)]
    assert answers == [401] * 20 + [429]
    assert throttle.places("::ffff:192.0.2.1") == ["192.0.2.1"]


def test_a_known_device_is_let_in_while_others_guess(client: FlaskClient, app: Flask, user: Any) -> None:
    """A cookie of an earlier sign-in gives its owner a count of their own, and nobody else."""
    sign_in_by_page(client)
    client.delete_cookie("sign_in")
    for n in range(8):
        attempt(app.test_client(), "reader", address=f"192.0.2.{n}")
    assert attempt(app.test_client(), "reader", PASSWORD, address="192.0.2.99").status_code == 429
    assert sign_in_by_page(client).status_code == 303
    assert [sign_in_by_page(client, WRONG).status_code for _ in range(4)] == [401, 401, 401, 429]


def sign_in_by_page(client: FlaskClient, password: str = PASSWORD) -> Any:
    fields = hidden_fields(client.get("/account/sign-in").get_data(as_text=True))
    return client.post("/account/sign-in", data=fields | {"identifier": "reader", "password": password})


def test_who_is_registered_cannot_be_listed(client: FlaskClient, user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "MOST_REQUESTS", 100)
    monkeypatch.setattr(throttle, "MOST_TAKEN", 4)
    assert [register(client, "reader").status_code for _ in range(6)] == [409] * 4 + [429] * 2
    assert register(client, "newcomer").status_code == 201


def test_mails_that_are_asked_for_have_an_end_for_account_address_and_domain(
    database: Database, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_sent(account: str, email: str) -> bool:
        with database.transaction() as session:
            counted = throttle.mails("a kind", account, email)
            if throttle.is_used_up(session, counted):
                return False
            throttle.count_failure(session, counted)
            return True

    monkeypatch.setattr(throttle, "MOST_MAILS_OF_DOMAIN", 6)
    assert [is_sent("one", f"reader+{n}@example.com") for n in range(5)] == [True] * 3 + [False] * 2
    assert [is_sent(f"other{n}", "reader@example.com") for n in range(5)] == [True] * 3 + [False] * 2
    assert not is_sent("third", "somebody@example.com")
    assert is_sent("third", "somebody@example.org")


@pytest.mark.parametrize("way", ["basic", "post"])
def test_a_clients_secret_is_not_guessed_without_end(client: FlaskClient, database: Database, way: str) -> None:
    client_id, secret = register_client(database, grant_types=["client_credentials"], scope="orders:read")

    def ask(shown: str, address: str = "192.0.2.1") -> int:
        form = {"grant_type": "client_credentials"}
        given: dict[str, Any] = {"auth": (client_id, shown)}
        if way == "post":
            given, form = {}, form | {"client_id": client_id, "client_secret": shown}
        return client.post("/token", data=form, headers={"X-Forwarded-For": address}, **given).status_code

    assert [ask(f"guess-{n}") for n in range(5)] == [401, 401, 401, 429, 429]
    assert ask(secret) == 429
    assert ask("another guess", "198.51.100.7") == 401
