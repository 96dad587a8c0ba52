"""Whether what a token says still holds: its family, its session, its person, its client, and the token itself."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from auth_service.domain import families, revocations
from auth_service.domain.clients import FIRST_PARTY
from auth_service.models import Client, SignInSession, TokenFamily, User


def of_person(session: Session, claims: dict[str, Any]) -> tuple[TokenFamily, User] | None:
    """The family and the active person of a person's access token, while neither was ended."""
    if "fid" not in claims:
        return None
    row = session.execute(
        select(TokenFamily, User)
        .join(User, User.id == TokenFamily.user_id)
        .join(SignInSession, SignInSession.id == TokenFamily.session_id)
        .where(
            TokenFamily.id == UUID(claims["fid"]),
            TokenFamily.revoked_at.is_(None),
            or_(SignInSession.ended_at.is_(None), families.OUTLIVES_SIGN_OUT),
            User.is_active,
        )
    ).one_or_none()
    return (row[0], row[1]) if row else None


def is_good(session: Session, claims: dict[str, Any]) -> bool:
    """Whether services should still accept a token that has not expired."""
    if "fid" in claims and of_person(session, claims) is None:
        return False
    return _has_client(session, claims["client_id"]) and not revocations.covers(session, claims)


def _has_client(session: Session, client_id: str) -> bool:
    """The store's own JSON sign-in is registered nowhere."""
    return client_id == FIRST_PARTY or session.get(Client, client_id) is not None
