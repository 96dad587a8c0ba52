"""The outbox: events are rows of the transaction that makes them true, and a relay publishes them afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Identity,
    Index,
    MetaData,
    Table,
    UniqueConstraint,
    delete,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.orm import Session

from common import envelope_rows
from common.bus import Bus
from common.db import Database, notify, utcnow
from common.events import Envelope, Event
from common.failpoints import reach
from common.ids import new_id
from common.metrics import EVENTS_PUBLISHED
from common.telemetry import request_id, traceparent

BATCH = 500
CHANNEL = "outbox"
KEEP_SENT = timedelta(days=3)

metadata = MetaData()
table = Table(
    "outbox",
    metadata,
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    *envelope_rows.columns(),
    Column("sent_at", DateTime(timezone=True)),
    UniqueConstraint("id"),
    Index("ix_outbox_unsent", text("urgent DESC"), "position", postgresql_where=text("sent_at IS NULL")),
    Index("ix_outbox_sent_at", "sent_at", postgresql_where=text("sent_at IS NOT NULL")),
)


def record(session: Session, event: Event) -> None:
    """Have `event` published once this transaction has committed."""
    record_all(session, [event])


def record_all(session: Session, events: Iterable[Event]) -> None:
    """As `record`, for many at once."""
    session.flush()  # what the event tells comes before it, so that rows are locked in one order
    rows = [_row(event) for event in events]
    if rows:
        session.execute(insert(table), rows)
        notify(session, CHANNEL)


def _row(event: Event) -> dict[str, Any]:
    return envelope_rows.to_row(
        Envelope(
            id=new_id(),
            name=event.name,
            key=event.key,
            body=event.model_dump_json().encode(),
            recorded_at=utcnow(),
            urgent=event.urgent,
            request_id=request_id(),
            traceparent=traceparent(),
        )
    )


class Relay:
    """Publishes what the outbox holds, in order, what is urgent first.

    Any number may run: one works at a time, the others stand by.
    """

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus

    def sweep(self) -> int:
        """Publish one batch; returns how many events that was. Raises BusUnavailable, having changed nothing.

        The rows are marked in the transaction that read them: a crash in between publishes them again, and
        the inboxes know them by their id.
        """
        with self._database.transaction() as session:
            if not session.scalar(text("SELECT pg_try_advisory_xact_lock(hashtext(current_schema() || '.relay'))")):
                return 0
            rows = session.execute(
                select(table)
                .where(table.c.sent_at.is_(None))
                .order_by(table.c.urgent.desc(), table.c.position)
                .limit(BATCH)
                .with_for_update(skip_locked=True)
            ).all()
            if not rows:
                return 0
            reach("relay.before_publish")
            self._bus.publish([envelope_rows.from_row(row) for row in rows])
            reach("relay.after_confirm")
            positions = [row.position for row in rows]
            session.execute(update(table).where(table.c.position.in_(positions)).values(sent_at=utcnow()))
        reach("relay.after_mark")
        EVENTS_PUBLISHED.inc(len(rows))
        return len(rows)


def lag(session: Session) -> tuple[int, float]:
    """How many events wait for the bus, and for how many seconds the oldest has."""
    depth, oldest = session.execute(
        select(func.count(), func.min(table.c.recorded_at)).where(table.c.sent_at.is_(None))
    ).one()
    return depth, (utcnow() - oldest).total_seconds() if oldest else 0.0


def resend(session: Session, since: datetime) -> int:
    """Publish once more what was sent at that time or later; returns how many events. The inboxes know them by id.

    For a broker that lost its messages, or was set back. What was sent more than KEEP_SENT ago is not kept.
    """
    again = update(table).where(table.c.sent_at >= since).values(sent_at=None).returning(table.c.position)
    events = len(session.execute(again).all())
    notify(session, CHANNEL)
    return events


def prune(session: Session) -> None:
    """Forget what was sent long ago."""
    session.execute(delete(table).where(table.c.sent_at < utcnow() - KEEP_SENT))
