"""Slowing down the guessing of passwords: failures are counted by account name and by address, in the database.

The name counts whether it exists or not, so that the answer tells nobody. Sign-ins that succeed are not
counted, so that many people behind one address, or one person with many devices, are let in.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import case, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from auth_service.domain.accounts import name_key
from auth_service.models import FailedSignIns
from common.db import utcnow
from common.errors import TooManyRequests

WINDOW = timedelta(minutes=5)
MOST_PER_ACCOUNT = 8
MOST_PER_ADDRESS = 60


class SignInThrottled(TooManyRequests):
    code = "sign_in_throttled"


@dataclass(frozen=True, slots=True)
class Counter:
    key: bytes
    most: int
    forgiven: bool


def counters(identifier: str, address: str) -> Sequence[Counter]:
    return (
        Counter(_digest("account", name_key(identifier)), MOST_PER_ACCOUNT, forgiven=True),
        Counter(_digest("address", address), MOST_PER_ADDRESS, forgiven=False),
    )


def guesses(kind: str, who: str) -> Sequence[Counter]:
    """For codes that somebody who is signed in types from elsewhere."""
    return (Counter(_digest(kind, who), MOST_PER_ACCOUNT, forgiven=True),)


def is_used_up(session: Session, counted: Sequence[Counter]) -> bool:
    """As require_patience, for what is then silently left undone."""
    try:
        require_patience(session, counted)
    except SignInThrottled:
        return True
    return False


def require_patience(session: Session, counted: Sequence[Counter]) -> None:
    """Raises SignInThrottled when one of the counters is used up."""
    most = {counter.key: counter.most for counter in counted}
    rows = session.execute(
        select(FailedSignIns.key, FailedSignIns.failures, FailedSignIns.expires_at).where(
            FailedSignIns.key.in_(most), FailedSignIns.expires_at > utcnow()
        )
    ).all()
    waits = [row.expires_at - utcnow() for row in rows if row.failures >= most[bytes(row.key)]]
    if waits:
        seconds = max(1, math.ceil(max(waits).total_seconds()))
        raise SignInThrottled("Too many attempts. Try again later.", retry_after=seconds)


def count_failure(session: Session, counted: Sequence[Counter]) -> None:
    now = utcnow()
    over = FailedSignIns.expires_at <= now
    for counter in sorted(counted, key=lambda each: each.key):
        statement = insert(FailedSignIns).values(key=counter.key, failures=1, expires_at=now + WINDOW)
        session.execute(
            statement.on_conflict_do_update(
                index_elements=[FailedSignIns.key],
                set_={
                    "failures": case((over, 1), else_=FailedSignIns.failures + 1),
                    "expires_at": case((over, now + WINDOW), else_=FailedSignIns.expires_at),
                },
            )
        )


def forgive(session: Session, counted: Sequence[Counter]) -> None:
    """After a success the account starts anew; the address does not, or one's own account would reset it."""
    session.execute(delete(FailedSignIns).where(FailedSignIns.key.in_([each.key for each in counted if each.forgiven])))


def _digest(kind: str, value: str) -> bytes:
    return hashlib.sha256(f"{kind}:{value}".encode("utf-8", "replace")).digest()
