"""Token introspection (RFC 7662), for clients that authenticate."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from auth_service.domain import accounts, families, standing
from auth_service.domain.secrecy import digest
from auth_service.domain.tokens import Issuer
from auth_service.models import Client, RefreshToken, SignInSession

INACTIVE: dict[str, Any] = {"active": False}
_TOLD = ("iss", "sub", "aud", "client_id", "scope", "iat", "exp", "jti", "auth_time", "acr", "amr", "cnf", "act", "sid")


def describe(session: Session, issuer: Issuer, client: Client, token: str) -> dict[str, Any]:
    """An access token is told of to any such client: it may be a resource server. A refresh token only to its own."""
    claims = issuer.read(session, token, kind="at+jwt")
    if claims is None:
        return _refresh_token(session, issuer, client, token)
    if not standing.is_good(session, claims):
        return INACTIVE
    told = {name: claims[name] for name in _TOLD if name in claims}
    if "preferred_username" in claims:
        told["username"] = claims["preferred_username"]
    return {"active": True, "token_type": "DPoP" if "cnf" in claims else "Bearer"} | told


def _refresh_token(session: Session, issuer: Issuer, client: Client, token: str) -> dict[str, Any]:
    family = families.of_token(session, token)
    if family is None or family.client_id != client.client_id or not family.is_live:
        return INACTIVE
    row = session.scalars(select(RefreshToken).where(RefreshToken.token_hash == digest(token))).one()
    sign_in = session.get_one(SignInSession, family.session_id)
    is_over = not (families.outlives(family) or sign_in.is_live)
    if row.used_at is not None or is_over or accounts.active(session, family.user_id) is None:
        return INACTIVE
    return {
        "active": True,
        "iss": issuer.url,
        "sub": str(family.user_id),
        "client_id": family.client_id,
        "scope": family.scope,
        "iat": int(row.created_at.timestamp()),
        "exp": int(family.expires_at.timestamp()),
    }
