"""Whether what a token says still holds: its family, its session, its person, its client."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

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
            SignInSession.ended_at.is_(None),
            User.is_active,
        )
    ).one_or_none()
    return (row[0], row[1]) if row else None


def is_good(session: Session, claims: dict[str, Any]) -> bool:
    """Whether services should still accept a token that has not expired."""
    if "fid" in claims:
        return of_person(session, claims) is not None
    return session.get(Client, claims["client_id"]) is not None
