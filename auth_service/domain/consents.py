"""What people have allowed clients, remembered."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from auth_service.models import Client, Consent, TokenFamily
from common.db import utcnow


def is_needed(session: Session, user_id: UUID, client: Client, scope: str) -> bool:
    """Whether the person has yet to allow the client some of this. Trusted clients are the store itself."""
    if client.trusted:
        return False
    given = session.get(Consent, (user_id, client.client_id))
    return given is None or not set(scope.split()) <= set(given.scope.split())


def give(session: Session, user_id: UUID, client: Client, scope: str) -> None:
    """Allow this, beside what was allowed before."""
    given = session.get(Consent, (user_id, client.client_id))
    total = " ".join(dict.fromkeys([*(given.scope.split() if given else ()), *scope.split()]))
    statement = insert(Consent).values(user_id=user_id, client_id=client.client_id, scope=total, granted_at=utcnow())
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[Consent.user_id, Consent.client_id],
            set_={"scope": statement.excluded.scope, "granted_at": statement.excluded.granted_at},
        )
    )


def withdraw(session: Session, user_id: UUID, client_id: str) -> None:
    """The client may nothing any more, and its tokens end."""
    session.execute(
        update(TokenFamily)
        .where(TokenFamily.user_id == user_id, TokenFamily.client_id == client_id, TokenFamily.revoked_at.is_(None))
        .values(revoked_at=utcnow(), revoked_because="consent_withdrawn")
    )
    session.execute(delete(Consent).where(Consent.user_id == user_id, Consent.client_id == client_id))
