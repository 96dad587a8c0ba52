"""Telling clients that a session has ended (OpenID Connect Back-Channel Logout), after the commit, by the worker."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from auth_service.models import Client, LogoutNotice, TokenFamily
from common.db import utcnow

BATCH = 20
CLAIM = timedelta(minutes=2)
"""Longer than a client's turn can take: nobody else sends the same meanwhile."""
MOST_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Due:
    """One notice, and where to."""

    id: UUID
    client_id: str
    uri: str
    subject: UUID
    session_id: UUID
    attempts: int
    """That were made before."""


def prepare(session: Session, session_id: UUID) -> None:
    """Note who has to be told that this session ends; call it before its token families are revoked."""
    told = session.execute(
        select(TokenFamily.client_id, TokenFamily.user_id)
        .join(Client, Client.client_id == TokenFamily.client_id)
        .where(
            TokenFamily.session_id == session_id,
            TokenFamily.revoked_at.is_(None),
            Client.backchannel_logout_uri.is_not(None),
        )
        .distinct()
    ).all()
    session.add_all(LogoutNotice(client_id=row.client_id, subject=row.user_id, session_id=session_id) for row in told)


def claim(session: Session, *, but: Collection[str] = ()) -> Sequence[Due]:
    """Those that are due, for this worker alone for a while: whoever dies while sending leaves them to others.

    `but` are clients that are left alone.
    """
    rows = session.execute(
        select(LogoutNotice, Client.backchannel_logout_uri)
        .join(Client, Client.client_id == LogoutNotice.client_id)
        .where(LogoutNotice.due_at <= utcnow(), LogoutNotice.client_id.not_in(but))
        .order_by(LogoutNotice.due_at)
        .limit(BATCH)
        .with_for_update(of=LogoutNotice, skip_locked=True)
    ).all()
    for notice, _ in rows:
        notice.due_at = utcnow() + CLAIM
    return [Due(row.id, row.client_id, uri or "", row.subject, row.session_id, row.attempts) for row, uri in rows]


def put_back(session: Session, due: Sequence[Due]) -> None:
    """Claimed, but not sent: due again at once."""
    ids = [each.id for each in due]
    session.execute(update(LogoutNotice).where(LogoutNotice.id.in_(ids)).values(due_at=utcnow()))


def settle(session: Session, due: Due, *, received: bool) -> None:
    """Forget what was received, or failed too often; the rest is due again after a while that doubles."""
    attempts = due.attempts + 1
    if received or attempts >= MOST_ATTEMPTS:
        session.execute(delete(LogoutNotice).where(LogoutNotice.id == due.id))
        return
    again = utcnow() + timedelta(seconds=2.0**attempts)
    session.execute(update(LogoutNotice).where(LogoutNotice.id == due.id).values(due_at=again, attempts=attempts))
