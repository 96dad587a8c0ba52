"""The auth service on a real Postgres. Its applications trust its own keys: tokens are got by signing in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from auth_service.app import create_app
from auth_service.config import AuthConfig
from auth_service.domain import accounts, clients
from common.db import Database
from tests.auth.support import Browser, register_client
from tests.support.database import empty, rolled_back_session, service_config, service_database

PASSWORD = "a long walk at dusk"

config = service_config(
    AuthConfig, KEY_ENCRYPTION_KEY="only-in-tests-" * 4, RATE_LIMITS_ENABLED="true", CLIENT_NETWORKS="127.0.0.0/8"
)
database = service_database()
session = rolled_back_session()


@pytest.fixture
def app(config: AuthConfig, database: Database) -> Iterator[Flask]:
    made = create_app(config)
    made.extensions["database"].close()
    made.extensions["database"] = database
    yield made
    empty(database)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def make_user(app: Flask, database: Database) -> Callable[..., dict[str, Any]]:
    """Registers an account directly in the domain."""

    def make(username: str = "reader", role: str = "customer", password: str = PASSWORD) -> dict[str, Any]:
        with database.transaction() as opened:
            user = accounts.register(
                opened, username=username, email=f"{username}@example.com", password=password, role=role
            )
            return {"id": str(user.id), "username": username, "email": user.email, "password": password}

    return make


@pytest.fixture
def sign_in(client: FlaskClient) -> Callable[..., dict[str, Any]]:
    """Signs in by the JSON API; gives the tokens."""

    def login(user: dict[str, Any]) -> dict[str, Any]:
        body = {"identifier": user["username"], "password": user["password"]}
        answer = client.post("/api/v1/auth/login", json=body)
        assert answer.status_code == 200, answer.json
        return answer.json

    return login


@pytest.fixture
def user(make_user: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return make_user()


@pytest.fixture
def admin(make_user: Callable[..., dict[str, Any]], sign_in: Callable[..., dict[str, Any]]) -> dict[str, str]:
    """The header of an administrator's requests."""
    tokens = sign_in(make_user("boss", role="admin"))
    return {"Authorization": f"Bearer {tokens['access_token']}"}


@pytest.fixture
def public_client(app: Flask, database: Database) -> str:
    """The identifier of a trusted client without a secret, on a loopback address."""
    return register_client(database, token_endpoint_auth_method=clients.PUBLIC, trusted=True)[0]


@pytest.fixture
def browser(app: Flask, user: dict[str, Any]) -> Browser:
    """A browser in which nobody is signed in yet, and somebody who could."""
    return Browser(app.test_client(), user)
