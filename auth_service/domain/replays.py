"""What counts once: client assertions, DPoP proofs, demands to sign in. Shared by all processes, by the database."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from auth_service.domain.secrecy import digest
from auth_service.models import SpentProof


def spend(session: Session, kind: str, name: str, until: float) -> bool:
    """Whether this was not spent before. `until` is the Unix time from which it is refused for its age."""
    key = digest(f"{kind} {name}")
    statement = insert(SpentProof).values(key=key, expires_at=datetime.fromtimestamp(until, UTC))
    spent = session.execute(statement.on_conflict_do_nothing().returning(SpentProof.key))
    return spent.scalar() is not None
