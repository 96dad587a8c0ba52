"""What people have allowed clients, remembered."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from auth_service.models import AuthorizationCode, Client, Consent, DeviceCode, SignInSession, TokenFamily
from common.db import utcnow


def is_needed(session: Session, user_id: UUID, client: Client, scope: str) -> bool:
    """Whether the person has yet to allow the client some of this. Trusted clients are the store itself.

    What was given cannot be withdrawn before the code that rests on it is committed, and so found by `withdraw`.
    """
    if client.trusted:
        return False
    found = select(Consent).where(Consent.user_id == user_id, Consent.client_id == client.client_id)
    given = session.scalar(found.with_for_update().execution_options(populate_existing=True))
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
    """The client may nothing any more: its tokens end, and what it has not redeemed yet is worth nothing.

    In this order, each step waits for those who are in the middle of it, and the next one finds what they made.
    """
    session.execute(delete(Consent).where(Consent.user_id == user_id, Consent.client_id == client_id))
    own = select(SignInSession.id).where(SignInSession.user_id == user_id)
    for model, is_open, used in (
        (AuthorizationCode, AuthorizationCode.used_at.is_(None), {"used_at": utcnow()}),
        (DeviceCode, DeviceCode.state == "allowed", {"state": "used"}),
    ):
        theirs = (model.client_id == client_id) & model.session_id.in_(own)
        session.execute(update(model).where(theirs, is_open).values(used).execution_options(synchronize_session=False))
    session.execute(
        update(TokenFamily)
        .where(TokenFamily.user_id == user_id, TokenFamily.client_id == client_id, TokenFamily.revoked_at.is_(None))
        .values(revoked_at=utcnow(), revoked_because="consent_withdrawn")
    )
