"""Refresh tokens rotate in families (RFC 9700 section 4.14.2).

A token is used once and gives its successor. Several tabs that refresh at the same time all hold the same
token, so within a short grace after its first use it still leads to the family's current token. After that it is good
for another successor for a day, while the first one was never used: the answer was lost, as on a phone that loses its
network. Once a successor was used, whoever presents its predecessor, or a successor that was replaced, has stolen it,
or was stolen from: the family is revoked.

A successor is computed from its predecessor under a key of ours. So every tab gets the same one although
only hashes are stored.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from auth_service.domain import letters
from auth_service.domain.secrecy import Vault, digest
from auth_service.models import RefreshToken, SignInSession, TokenFamily, User
from common.db import utcnow
from common.errors import Unauthorized

LOST_FOR = timedelta(days=1)
"""For how long after its first use a token may be tried again, where its successor never was."""
FIRST_PARTY = "bookstore"
"""The client_id of tokens from the JSON sign-in. Nobody can register it."""
OUTLIVES_SIGN_OUT = (TokenFamily.client_id != FIRST_PARTY) & TokenFamily.scope.regexp_match("(^| )offline_access( |$)")
"""Families that the end of the browser's session leaves alone (OpenID Connect Core section 11): see `outlives`."""
REPLACED = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands as the use of a successor in whose place another one was given."""


class RefreshRefused(Unauthorized):
    """Unknown, expired or revoked."""

    code = "invalid_refresh_token"


class RefreshReused(RefreshRefused):
    """Used again after the grace: its family is revoked, and stays so although the request fails."""

    keeps_changes = True


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed on for a family beside its scope: see TokenFamily."""

    resources: Sequence[str] = ()
    dpop_jkt: str | None = None
    claims: dict[str, Any] = field(default_factory=dict)


NOTHING_AGREED = Terms()


def start(
    session: Session,
    *,
    sign_in: SignInSession,
    client_id: str,
    scope: str,
    life: timedelta,
    terms: Terms = NOTHING_AGREED,
) -> TokenFamily:
    family = TokenFamily(
        resources=list(terms.resources),
        dpop_jkt=terms.dpop_jkt,
        claims=terms.claims,
        amr=sign_in.amr,
        session_id=sign_in.id,
        user_id=sign_in.user_id,
        client_id=client_id,
        scope=scope,
        authenticated_at=sign_in.authenticated_at,
        expires_at=utcnow() + life,
    )
    session.add(family)
    session.flush()
    return family


def first_token(session: Session, family: TokenFamily) -> str:
    token = secrets.token_urlsafe(32)
    session.add(RefreshToken(family_id=family.id, token_hash=digest(token)))
    session.flush()
    return token


def seconds_left(family: TokenFamily) -> int:
    """For how long the family's refresh tokens are good, unless it ends before."""
    return max(0, int((family.expires_at - utcnow()).total_seconds()))


def rotate(
    session: Session, token: str, *, client_id: str, grace: timedelta, vault: Vault, jkt: str | None = None
) -> tuple[TokenFamily, str]:
    """The token's family and its new token. Raises RefreshRefused, or RefreshReused once it is revoked for it.

    `jkt` is the key that the request was shown to come from; a bound family is its holder's alone.
    """
    family = _lock_family(session, token, client_id)
    if family.dpop_jkt not in (None, jkt):
        raise RefreshRefused("The refresh token is bound to another key.")
    row = _require_row(session, token)
    if not family.is_live or not (outlives(family) or session.get_one(SignInSession, family.session_id).is_live):
        raise RefreshRefused("The refresh token is not valid.")
    if row.used_at is not None and utcnow() - row.used_at >= grace:
        if successor := _again(session, token, row, vault):
            return family, successor
        revoke(session, family.id, "refresh_token_reused")
        letters.write(session, session.get_one(User, family.user_id), "sign_in_ended_by_reuse")
        raise RefreshReused("The refresh token was used before; sign in again.")
    return family, _use_latest(session, token, row, vault)


def outlives(family: TokenFamily) -> bool:
    """Whether an app goes on after its person has signed out, until it is disconnected. The JSON sign-in is no app."""
    return family.client_id != FIRST_PARTY and "offline_access" in family.scope.split()


def revoke(session: Session, family_id: UUID, reason: str) -> None:
    session.execute(
        update(TokenFamily)
        .where(TokenFamily.id == family_id, TokenFamily.revoked_at.is_(None))
        .values(revoked_at=utcnow(), revoked_because=reason)
    )


def revoke_of_client(session: Session, client_id: str) -> None:
    session.execute(
        update(TokenFamily)
        .where(TokenFamily.client_id == client_id, TokenFamily.revoked_at.is_(None))
        .values(revoked_at=utcnow(), revoked_because="client_deleted")
    )


def of_token(session: Session, token: str) -> TokenFamily | None:
    """The family that this refresh token belongs to, used or not."""
    return session.scalar(
        select(TokenFamily)
        .join(RefreshToken, RefreshToken.family_id == TokenFamily.id)
        .where(RefreshToken.token_hash == digest(token))
    )


def _lock_family(session: Session, token: str, client_id: str) -> TokenFamily:
    """The family, locked: those who refresh at the same time take turns, and each sees what the last one did."""
    family = session.scalar(
        select(TokenFamily)
        .join(RefreshToken, RefreshToken.family_id == TokenFamily.id)
        .where(RefreshToken.token_hash == digest(token), TokenFamily.client_id == client_id)
        .with_for_update(of=TokenFamily)
        .execution_options(populate_existing=True)
    )
    if family is None:
        raise RefreshRefused("The refresh token is not valid.")
    return family


def _require_row(session: Session, token: str) -> RefreshToken:
    statement = select(RefreshToken).where(RefreshToken.token_hash == digest(token))
    row = session.scalar(statement.execution_options(populate_existing=True))
    if row is None:
        raise RefreshRefused("The refresh token is not valid.")
    return row


def _use_latest(session: Session, token: str, row: RefreshToken, vault: Vault) -> str:
    """An unused token makes its successor. One used a moment ago leads to the family's unused one."""
    if row.used_at is None:
        row.used_at = utcnow()
        return _succeed(session, token, row, vault)
    while row.used_at is not None:
        token = _successor(vault, token, row.retries)
        row = _require_row(session, token)
    return token


def _again(session: Session, token: str, row: RefreshToken, vault: Vault) -> str | None:
    """Another successor for a token whose first one was never used: its answer was lost on the way.

    The first one is worth nothing from now on: whoever shows it has what was meant for somebody else.
    """
    if row.used_at is None or utcnow() - row.used_at >= LOST_FOR:
        return None
    lost = _require_row(session, _successor(vault, token, row.retries))
    if lost.used_at is not None:
        return None
    lost.used_at = REPLACED
    row.retries += 1
    return _succeed(session, token, row, vault)


def _succeed(session: Session, token: str, row: RefreshToken, vault: Vault) -> str:
    successor = _successor(vault, token, row.retries)
    session.add(RefreshToken(family_id=row.family_id, token_hash=digest(successor)))
    session.flush()
    return successor


def _successor(vault: Vault, token: str, retries: int) -> str:
    return vault.mac("refresh token successor", f"{token} {retries}" if retries else token)
