"""What the application holds for all requests: its keys, its issuer, and who is asking."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from flask import current_app, request
from jwt import PyJWK
from sqlalchemy.orm import Session
from werkzeug.local import LocalProxy

from auth_service.config import AuthConfig
from auth_service.domain import families, replays, revocations, second_factor, sessions, standing
from auth_service.domain.clients import FIRST_PARTY
from auth_service.domain.keys import KeyRing
from auth_service.domain.oauth.provider import Provider, Terms
from auth_service.domain.oauth.server import TokenServer
from auth_service.domain.resources import Resources
from auth_service.domain.secrecy import Vault
from auth_service.domain.tokens import Issuer
from auth_service.models import Client, SignInSession, TokenFamily, User
from common.auth import SecondFactorNeeded, current_user
from common.db import Database, current_database, session, utcnow
from common.errors import Forbidden, Unauthorized
from common.revocation import Revocations

RECENTLY = timedelta(minutes=15)
"""How long ago somebody may have proved who they are, to change what they prove it by."""


@dataclass(frozen=True, slots=True)
class Authority:
    config: AuthConfig
    vault: Vault
    keys: KeyRing
    issuer: Issuer
    provider: Provider

    @classmethod
    def of(cls, config: AuthConfig) -> Authority:
        vault = Vault(config.key_encryption_keys)
        keys = KeyRing(vault, config.signing_algorithm)
        issuer = Issuer(config.issuer, config.api_audience, config.access_token_life, keys)
        return cls(config, vault, keys, issuer, _provider(config, vault, issuer))

    def token_server(self, on: Session) -> TokenServer:
        return TokenServer(on, self.provider, _spend)


def _provider(config: AuthConfig, vault: Vault, issuer: Issuer) -> Provider:
    terms = Terms(
        code_life=config.authorization_code_life,
        family_life=config.refresh_family_life,
        refresh_grace=config.refresh_grace,
        dpop_nonce_required=config.dpop_nonce_required,
    )
    return Provider(issuer, vault, Resources(config.api_audience, config.public_url, config.resources), terms)


def _spend(kind: str, name: str, until: float) -> bool:
    """In a transaction of its own: a proof stays spent although its request is refused."""
    with current_database().aside() as opened:
        return replays.spend(opened, kind, name, until)


class OwnKeys:
    """The keys of our own tokens, looked up where they are kept instead of asking ourselves over HTTP."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def find(self, kid: str) -> PyJWK | None:
        with current_database().read() as reading:
            return self._ring.find(reading, kid)


class OwnRevocations:
    """What was revoked, read where it is written; the application's database is known once it exists."""

    def __init__(self) -> None:
        self.database: Callable[[], Database] | None = None
        self._known = Revocations(self._feed)

    def refuse(self, claims: Mapping[str, Any]) -> bool:
        return self._known.refuse(claims)

    def _feed(self, after: int, _again: int) -> dict[str, Any]:
        assert self.database is not None
        with self.database().read() as reading:
            return revocations.since(reading, after)


authority: Authority = cast(Authority, LocalProxy(lambda: current_app.extensions["authority"]))


def client_address() -> str:
    """The address that sent the request to the outermost proxy that we trust (TRUSTED_PROXIES of them)."""
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
    trusted = authority.config.trusted_proxies
    chosen = hops[-trusted] if trusted and len(hops) >= trusted else request.remote_addr
    return (chosen or "")[:64]


def user_agent() -> str:
    return request.headers.get("User-Agent", "")


def signed_in_user() -> User:
    """The token's active user. Here a token ends with its session, family or account, however long it was made for.

    Raises Unauthorized.
    """
    found = standing.of_person(session, current_user().claims)
    is_whose = found is not None and found[1].id == current_user().user_id
    if found is None or not is_whose or revocations.covers(session, current_user().claims):
        raise Unauthorized("This sign-in has ended.", error="invalid_token")
    return found[1]


def end_sign_in() -> None:
    """Sign the token's person out as far as its client may. Raises Unauthorized."""
    family_id = _uuid(current_user().claims.get("fid"))
    if _is_the_stores_own(current_user().client_id):
        sessions.end(session, session.get_one(TokenFamily, family_id).session_id)
    families.revoke(session, family_id, "signed_out")


def signed_in_admin() -> User:
    """As signed_in_user, and an administrator still. Raises Unauthorized or Forbidden."""
    user = signed_in_user()
    if user.role != "admin":
        raise Forbidden("Only an administrator can do this.")
    return user


def account_holder() -> User:
    """As signed_in_user, by a program of the store itself: no scope lets another one change the account.

    Raises Unauthorized or Forbidden.
    """
    user = signed_in_user()
    family = session.get(TokenFamily, _uuid(current_user().claims.get("fid")))
    asked_by = {current_user().client_id, family.client_id if family else ""}  # two, after an exchange
    if not all(map(_is_the_stores_own, asked_by)):
        raise Forbidden("Only the store's own programs can change an account.")
    return user


def current_sign_in() -> SignInSession:
    """The session of the token. Raises Unauthorized."""
    family = session.get_one(TokenFamily, _uuid(current_user().claims.get("fid")))
    return session.get_one(SignInSession, family.session_id)


def recent_account_holder() -> User:
    """As account_holder, who proved it a short while ago by the strongest that the account has: so it may be changed.

    Both are looked at in the token that is presented (RFC 9470): that its person has signed in again elsewhere makes an
    old one no fresher. Raises Unauthorized or Forbidden.
    """
    user = account_holder()
    if utcnow().timestamp() - float(current_user().claims.get("auth_time", 0)) > RECENTLY.total_seconds():
        raise SignInTooOld
    if second_factor.has_any(session, user.id) and not current_user().is_sure:
        raise SecondFactorNeeded
    return user


class SignInTooOld(Unauthorized):
    """RFC 9470 section 3."""

    code = "sign_in_too_old"

    def __init__(self) -> None:
        super().__init__("Sign in again to change this.", error="insufficient_user_authentication")
        self.headers["WWW-Authenticate"] += f', max_age="{int(RECENTLY.total_seconds())}"'


def _is_the_stores_own(client_id: str) -> bool:
    client = session.get(Client, client_id)
    return client_id == FIRST_PARTY or (client is not None and client.trusted)


def _uuid(value: object) -> UUID:
    try:
        return UUID(str(value))
    except ValueError:
        raise Unauthorized("This sign-in has ended.", error="invalid_token") from None
