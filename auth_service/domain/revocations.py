"""What verifiers must refuse although it is signed and has not expired.

The rows are written by triggers (migrations 0004 and 0005), in the transaction of whatever ends a session, a family, an
account or a client; only a single token has no row that could end, so its end is written here. A reader asks for what
is new since last time. Neither ids nor times tell that: a transaction may commit after one that began later. So each
row has its transaction's id, and the reader's place is the oldest transaction that was still open when it last looked;
some rows are told twice, none is missed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select, text, tuple_
from sqlalchemy.orm import Session

from auth_service.models import Revocation
from common.db import utcnow
from common.revocation import LONGEST_TOKEN_SECONDS, is_refused, named

KEEP = timedelta(seconds=LONGEST_TOKEN_SECONDS)


def since(session: Session, after: int) -> dict[str, Any]:
    """What was revoked since `after`, the `next` of an earlier answer, and the place to ask from next time.

    `again` is how many of the items will be told once more then.
    A place ahead of our own (the database was restored from a backup) counts as none.
    """
    # Taken before the rows are read: what commits in between is among the rows, and will be again next time.
    place = session.scalars(text("SELECT (pg_snapshot_xmin(pg_current_snapshot())::text)::bigint")).one()
    rows = session.execute(
        select(Revocation.kind, Revocation.revoked, Revocation.at, Revocation.transaction)
        .where(Revocation.transaction >= (after if after <= place else 0), Revocation.at > utcnow() - KEEP)
        .order_by(Revocation.id)
    ).all()
    items = [{"kind": row.kind, "id": row.revoked, "at": row.at.timestamp()} for row in rows]
    return {"items": items, "next": place, "again": sum(row.transaction >= place for row in rows)}


def covers(session: Session, claims: dict[str, Any]) -> bool:
    """Whether verifiers refuse a token of these claims."""
    ends = tuple_(Revocation.kind, Revocation.revoked).in_(named(claims))
    found = select(Revocation.kind, Revocation.at).where(ends)
    return any(is_refused(row.kind, row.at.timestamp(), claims) for row in session.execute(found))


def end_token(session: Session, claims: dict[str, Any]) -> None:
    """Refuse this one token from now on; a second time changes nothing."""
    if not covers(session, claims):
        session.add(Revocation(kind="token", revoked=str(claims["jti"])))
        session.flush()


def prune(session: Session) -> None:
    """Forget what no token can be older than."""
    session.execute(delete(Revocation).where(Revocation.at < utcnow() - KEEP))
