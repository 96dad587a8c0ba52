"""What happened to somebody's orders since a point in time, for those who follow them live.

Lines are told in the order of (transaction, id), and only once every older transaction has ended: whatever becomes
visible later is after the cursor, so that a stream that is taken up again loses nothing and repeats nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

from sqlalchemy import BigInteger, literal_column, select, tuple_
from sqlalchemy.orm import Session

from common.errors import Invalid
from order_service.models import HistoryEntry, Order

BATCH = 200
MAX_ID = UUID(int=2**128 - 1)
MAX_XACT = 2**63 - 1
_COLUMNS = (
    HistoryEntry.xact_id,
    HistoryEntry.id,
    HistoryEntry.order_id,
    Order.number,
    HistoryEntry.status,
    HistoryEntry.at,
)
_OLDEST_RUNNING = literal_column("pg_snapshot_xmin(pg_current_snapshot())::text::bigint", BigInteger)


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """A place in the history of all orders; its text is opaque to clients."""

    xact_id: int
    entry_id: UUID = MAX_ID

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises Invalid."""
        xact_id, _, entry_id = text.partition("-")
        try:
            if not (xact_id.isascii() and xact_id.isdigit() and len(entry_id) == 32):
                raise ValueError
            parsed = cls(int(xact_id), UUID(hex=entry_id))
        except ValueError:
            raise Invalid("Last-Event-ID is none of ours.") from None
        if parsed.xact_id > MAX_XACT:
            raise Invalid("Last-Event-ID is none of ours.")
        return parsed

    def __str__(self) -> str:
        return f"{self.xact_id}-{self.entry_id.hex}"


@dataclass(frozen=True, slots=True)
class Update:
    cursor: Cursor
    order_id: UUID
    number: str
    status: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Batch:
    """`is_whole` is false when there is more, or will be as soon as an older transaction has ended."""

    updates: tuple[Update, ...]
    is_whole: bool


def begin(session: Session, after: Cursor | None) -> Cursor:
    """Where to go on: `after`, or after everything that can be seen.

    Nobody was ever told of a place that is still to come: it was made up, or is of the database as it was before a
    restore. Whoever waited there would hear nothing until this database has come so far.
    """
    now = Cursor(session.execute(select(_OLDEST_RUNNING)).scalar_one() - 1)
    return min(after, now) if after else now


def since(session: Session, user_id: UUID, after: Cursor) -> Batch:
    """What happened to this user's own orders."""
    place = tuple_(HistoryEntry.xact_id, HistoryEntry.id)
    found = session.execute(
        select(*_COLUMNS, _OLDEST_RUNNING)
        .join(Order, Order.id == HistoryEntry.order_id)
        .where(Order.user_id == user_id, place > tuple_(after.xact_id, after.entry_id))
        .order_by(HistoryEntry.xact_id, HistoryEntry.id)
        .limit(BATCH)
    ).all()
    settled = tuple(
        Update(Cursor(xact_id or 0, entry_id), order_id, number, status, at)
        for xact_id, entry_id, order_id, number, status, at, oldest in found
        if (xact_id or 0) < oldest
    )
    return Batch(settled, is_whole=len(settled) == len(found) < BATCH)
