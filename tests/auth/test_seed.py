"""What `seed` makes sure of, however often it runs, and what it never touches; and the settings it reads."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from auth_service.config import AuthConfig, BootstrapClient, SeededUser
from auth_service.domain import accounts, passwords
from auth_service.models import Client, SigningKey, User
from auth_service.seed import seed
from common.config import ConfigError
from tests.auth.support import authenticate

SERVICE = BootstrapClient(
    client_id="catalog-service", client_secret="s3cret", grant_types=("client_credentials",), scope="replicas:read"
)
DEMO = BootstrapClient(
    client_id="demo", redirect_uris=("http://127.0.0.1/callback",), token_endpoint_auth_method="none"
)


@pytest.fixture
def settings(config: AuthConfig) -> AuthConfig:
    return replace(
        config,
        admin_email="boss@example.com",
        admin_password="first of all admins",
        bootstrap_clients=(SERVICE, DEMO),
        demo_users=(SeededUser(username="ada", email="ada@example.com", password="ada reads all day"),),
    )


def test_seeding_twice_is_seeding_once(session: Session, settings: AuthConfig) -> None:
    for _ in range(2):
        seed(session, settings)
    counts = [session.scalar(select(func.count()).select_from(each)) for each in (User, Client, SigningKey)]
    assert counts == [2, 2, 1]
    assert authenticate(session, "boss@example.com", "first of all admins").role == "admin"
    assert authenticate(session, "ada", "ada reads all day").role == "customer"
    assert session.get_one(Client, "catalog-service").check_client_secret("s3cret")


def test_a_changed_password_stays(session: Session, settings: AuthConfig) -> None:
    seed(session, settings)
    admin = accounts.find(session, "boss@example.com")
    assert admin is not None
    admin.password_hash = passwords.hash_password("another one entirely")
    session.flush()
    seed(session, settings)
    assert authenticate(session, "boss@example.com", "another one entirely") is admin


def test_a_client_follows_its_settings(session: Session, settings: AuthConfig) -> None:
    seed(session, settings)
    seed(session, replace(settings, bootstrap_clients=(SERVICE.model_copy(update={"client_secret": "other"}),)))
    assert session.get_one(Client, "catalog-service").check_client_secret("other")


def test_an_admin_is_made_although_somebody_is_called_admin(session: Session, settings: AuthConfig) -> None:
    accounts.register(session, username="Admin", email="x@example.com", password="not the admin")
    seed(session, settings)
    assert authenticate(session, "boss@example.com", "first of all admins").role == "admin"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"admin_password": "password"}, "ADMIN_PASSWORD"),
        ({"bootstrap_clients": (SERVICE.model_copy(update={"client_secret": None}),)}, "catalog-service"),
        (
            {"bootstrap_clients": (DEMO.model_copy(update={"redirect_uris": ("http://evil.example",)}),)},
            "redirect_uris",
        ),
        ({"bootstrap_clients": (DEMO.model_copy(update={"client_id": "bookstore"}),)}, "client_id"),
    ],
)
def test_settings_that_cannot_be_are_named(
    session: Session, settings: AuthConfig, change: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        seed(session, replace(settings, **change))


GOOD = {
    "DATABASE_URL": "postgresql://auth@localhost/x",
    "EVENT_BUS_URL": "postgresql://bus@localhost/x",
    "SERVICE_CLIENT_SECRET": "x",
    "KEY_ENCRYPTION_KEY": "k" * 32,
}


def test_settings_are_read_from_the_environment() -> None:
    clients = json.dumps([SERVICE.model_dump()])
    config = AuthConfig.from_env(GOOD | {"BOOTSTRAP_CLIENTS": clients, "PUBLIC_URL": "https://books.example/"})
    assert config.bootstrap_clients == (SERVICE,)
    assert config.is_https
    assert config.authorization_code_life.total_seconds() == 60


def test_every_wrong_setting_is_named_at_once() -> None:
    wrong = {
        "KEY_ENCRYPTION_KEY": "short",
        "BOOTSTRAP_CLIENTS": '[{"client_id": 1}]',
        "DEMO_USERS": "not json",
        "AUTHORIZATION_CODE_SECONDS": "600",
        "SIGNING_ALGORITHM": "HS256",
    }
    with pytest.raises(ConfigError) as caught:
        AuthConfig.from_env({"DATABASE_URL": "postgresql://x"} | wrong)
    for name in (*wrong, "EVENT_BUS_URL", "SERVICE_CLIENT_SECRET"):
        assert name in str(caught.value)
