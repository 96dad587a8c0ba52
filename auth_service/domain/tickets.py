"""Tickets: random secrets that we hand out, for a link in a mail or for the next step of a sign-in.

Only a hash is kept. A ticket is good for its own purpose only, once, and until it expires.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from auth_service.domain.secrecy import digest
from auth_service.models import Ticket
from common.db import utcnow

VERIFY_EMAIL = "verify_email"
NEW_ADDRESS = "new_address"
FORMER_ADDRESS = "former_address"
RESET_ASKED = "reset_asked"
RESET_PASSWORD = "reset_password"  # noqa: S105 - the name of a purpose
SECOND_FACTOR = "second_factor"
FEDERATION = "federation"
PASSKEY_NEW = "passkey_new"
PASSKEY_SIGN_IN = "passkey_sign_in"


def issue(session: Session, purpose: str, *, life: timedelta, user_id: UUID | None = None, **data: Any) -> str:
    secret = secrets.token_urlsafe(32)
    session.add(
        Ticket(secret_hash=digest(secret), purpose=purpose, user_id=user_id, data=data, expires_at=utcnow() + life)
    )
    session.flush()
    return secret


def look(session: Session, purpose: str, secret: str | None) -> Ticket | None:
    """The ticket, while it is good, without using it."""
    return session.scalar(
        select(Ticket).where(
            Ticket.secret_hash == digest(secret or ""), Ticket.purpose == purpose, Ticket.expires_at > utcnow()
        )
    )


def take(session: Session, purpose: str, secret: str | None) -> Ticket | None:
    """The ticket, which is used with it: of several who show it at the same time one gets it."""
    return session.scalar(
        delete(Ticket)
        .where(Ticket.secret_hash == digest(secret or ""), Ticket.purpose == purpose, Ticket.expires_at > utcnow())
        .returning(Ticket)
        .execution_options(synchronize_session=False, populate_existing=True)
    )


def keeps_address(session: Session, email_key: str, but: UUID | None) -> bool:
    """Whether somebody else had this mail address a short while ago, and may want it back."""
    kept = select(Ticket.user_id).where(
        Ticket.purpose == FORMER_ADDRESS,
        Ticket.data["email_key"].astext == email_key,
        Ticket.expires_at > utcnow(),
        Ticket.user_id.is_distinct_from(but),
    )
    return session.execute(kept.limit(1)).one_or_none() is not None


def void(session: Session, purpose: str, user_id: UUID) -> None:
    """Whatever was handed out to this person for the purpose is worth nothing any more."""
    session.execute(
        delete(Ticket)
        .where(Ticket.user_id == user_id, Ticket.purpose == purpose)
        .execution_options(synchronize_session=False)
    )
