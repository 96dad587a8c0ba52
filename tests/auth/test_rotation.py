"""Keys come and go: next, active, retired; under load nobody notices."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.fernet import InvalidToken
from flask.testing import FlaskClient
from jwt import PyJWK
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from auth_service.commands import rotate_keys
from auth_service.config import AuthConfig
from auth_service.domain import rotation
from auth_service.domain.keys import KeyRing
from auth_service.domain.secrecy import Vault
from auth_service.models import SigningKey
from auth_service.timers import keep_keys
from common.auth import JwksKeys, TokenVerifier, parse_jwks
from common.db import Database
from common.errors import Unauthorized
from tests.auth.support import ISSUER
from tests.support.database import environment
from tests.support.waiting import eventually

OLD, NEW = "old-key-" * 5, "new-key-" * 5
DAYS_90 = timedelta(days=90)
FETCH_AT_MOST_EVERY = 0.55


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing(Vault([OLD]), "ES256")


def states(session: Session) -> dict[str, str]:
    rows = session.execute(select(SigningKey.kid, SigningKey.state).order_by(SigningKey.created_at)).all()
    return {row.kid: row.state for row in rows}


def age(session: Session, **by: int) -> None:
    session.execute(update(SigningKey).values(state_since=SigningKey.state_since - timedelta(**by)))


def test_a_key_is_published_before_it_signs_and_after(session: Session, ring: KeyRing) -> None:
    rotation.keep(session, ring, DAYS_90)
    first, second = states(session)
    assert list(states(session).values()) == ["active", "next"]
    assert rotation.rotate(session, ring) == second
    assert ring.signer(session).kid == second
    assert list(states(session).values()) == ["retired", "active", "next"]
    assert {first, second} < {each["kid"] for each in ring.jwks(session)["keys"]}


def test_the_clock_rotates_and_forgets(session: Session, ring: KeyRing) -> None:
    rotation.keep(session, ring, DAYS_90)
    first, second = states(session)
    age(session, days=89)
    rotation.keep(session, ring, DAYS_90)
    assert ring.signer(session).kid == first
    age(session, days=2)
    rotation.keep(session, ring, None)
    assert ring.signer(session).kid == first
    rotation.keep(session, ring, DAYS_90)
    assert ring.signer(session).kid == second
    age(session, days=31)
    rotation.keep(session, ring, DAYS_90)
    assert first not in states(session)


def test_a_key_that_was_not_published_long_enough_does_not_sign(session: Session, ring: KeyRing) -> None:
    kid = ring.signer(session).kid
    age(session, days=100)
    rotation.keep(session, ring, DAYS_90)
    assert ring.signer(session).kid == kid


def test_each_algorithm_has_keys_of_its_own_which_rotate_together(session: Session, ring: KeyRing) -> None:
    rotation.keep(session, ring, DAYS_90)
    before = [ring.signer(session, algorithm).kid for algorithm in ("ES256", "RS256")]
    rotation.keep(session, ring, DAYS_90)
    rotation.rotate(session, ring)
    after = [ring.signer(session, algorithm).kid for algorithm in ("ES256", "RS256")]
    assert not set(before) & set(after)
    assert set(before) <= {each["kid"] for each in ring.jwks(session)["keys"]}


def test_a_new_encryption_key_takes_over(session: Session, ring: KeyRing) -> None:
    before = ring.signer(session)
    both = KeyRing(Vault([NEW, OLD]), "ES256")
    assert (rotation.reencrypt(session, both), rotation.reencrypt(session, both)) == (1, 0)
    after = KeyRing(Vault([NEW]), "ES256").signer(session)
    assert before.private_key.private_numbers() == after.private_key.private_numbers()  # type: ignore[union-attr]
    with pytest.raises(InvalidToken):
        KeyRing(Vault([OLD]), "ES256").signer(session)


def test_workers_that_rotate_at_the_same_time_rotate_once(config: AuthConfig, database: Database, app: Any) -> None:
    keep_keys(database, config)
    with database.transaction() as session:
        age(session, days=100)
    threads = [threading.Thread(target=keep_keys, args=[database, config]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        assert list(states(session).values()) == ["retired", "active", "next"]


def test_the_command(
    config: AuthConfig, database: Database, admin_database_url: str, client: FlaskClient, user: Any, sign_in: Any
) -> None:
    sign_in(user)
    environ = environment(admin_database_url, "auth", KEY_ENCRYPTION_KEY="only-in-tests-" * 4)
    done = CliRunner(env=environ).invoke(rotate_keys)
    assert done.exit_code == 0, done.output
    with database.read() as session:
        found = states(session)
    assert list(found.values()) == ["retired", "active", "next"]
    assert list(found)[1] in done.output
    assert len(client.get("/.well-known/jwks.json").json["keys"]) == 3


def test_a_leaked_key_is_withdrawn_at_once(
    config: AuthConfig, database: Database, admin_database_url: str, client: FlaskClient, user: Any, sign_in: Any
) -> None:
    keep_keys(database, config)
    token = sign_in(user)["access_token"]
    keys = _Published(client)
    verifier = TokenVerifier(issuer=ISSUER, audience="bookstore-api", keys=keys)
    verifier.verify(token)
    with database.read() as session:
        leaked, following = states(session)
    environ = environment(admin_database_url, "auth", KEY_ENCRYPTION_KEY="only-in-tests-" * 4)
    done = CliRunner(env=environ).invoke(rotate_keys, ["--withdraw", leaked])
    assert done.exit_code == 0, done.output
    assert following in done.output
    keys.fetch()
    with pytest.raises(Unauthorized):
        verifier.verify(token)
    verifier.verify(sign_in(user)["access_token"])
    assert CliRunner(env=environ).invoke(rotate_keys, ["--withdraw", leaked]).exit_code == 1


def test_under_load_no_request_is_refused(
    config: AuthConfig,
    database: Database,
    app: Any,
    user: Any,
    sign_in: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Verifiers fetch over HTTP as ever; six of them use new tokens all the time while keys change three times."""
    published = app.test_client()
    monkeypatch.setattr("common.auth.requests.get", lambda *_a, **_k: _Answer(published))
    keep_keys(database, config)
    verifier = TokenVerifier(issuer=ISSUER, audience="bookstore-api", keys=JwksKeys("http://auth/jwks"))
    refused: list[Exception] = []
    used: set[str] = set()
    stop = threading.Event()

    def work(tokens: dict[str, Any]) -> None:
        own = app.test_client()
        while not stop.is_set():
            answer = own.post("/api/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
            try:
                tokens = answer.json
                verifier.verify(tokens["access_token"])
                used.add(tokens["access_token"])
            except Exception as error:
                refused.append(error)
                return

    threads = [threading.Thread(target=work, args=[sign_in(user)]) for _ in range(6)]
    for thread in threads:
        thread.start()
    ring = KeyRing(Vault(config.key_encryption_keys), "ES256")
    for _ in range(3):
        used.clear()
        time_left = time.monotonic() + FETCH_AT_MOST_EVERY
        eventually(lambda end=time_left: refused or (len(used) >= 30 and time.monotonic() > end))  # type: ignore[misc]
        with database.transaction() as session:
            rotation.rotate(session, ring)
    stop.set()
    for thread in threads:
        thread.join()
    assert refused == []
    with database.read() as session:
        assert session.scalar(text("SELECT count(*) FROM signing_keys WHERE state = 'retired'")) == 3


class _Published:
    """The published set, as a verifier has it that fetched it some time ago."""

    def __init__(self, client: FlaskClient) -> None:
        self._client = client
        self.fetch()

    def fetch(self) -> None:
        self._keys = parse_jwks(self._client.get("/.well-known/jwks.json").json)

    def find(self, kid: str) -> PyJWK | None:
        return self._keys.get(kid)


class _Answer:
    """What `requests` would give for the published set."""

    def __init__(self, client: FlaskClient) -> None:
        self._answer = client.get("/.well-known/jwks.json")

    def raise_for_status(self) -> None:
        assert self._answer.status_code == 200

    def json(self) -> Any:
        return self._answer.json
