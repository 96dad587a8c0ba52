"""The inbox: events are staged here as they come from the bus, then handled one by one, each with exactly one effect.

Staging and handling are apart on purpose (docs/adr/0002): the broker's queue is drained in order by one pump,
whatever becomes of single events, while all workers of a service share the handling, in order per key.
Retries, back-off and dead letters live here once, and so are the same on every bus.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    MetaData,
    Row,
    Table,
    Text,
    UniqueConstraint,
    and_,
    delete,
    func,
    not_,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common import envelope_rows
from common.db import Database, notify, utcnow
from common.events import Envelope, Event
from common.failpoints import reach
from common.metrics import EVENTS_DEAD, EVENTS_DUPLICATE, EVENTS_FAILED, EVENTS_HANDLED, EVENTS_RECEIVED
from common.telemetry import correlated, get_logger

Handler = Callable[[Session, Any], None]
Handlers = Mapping[type[Event], Handler]

CHANNEL = "inbox"
MAX_ATTEMPTS = 8
FIRST_BACKOFF = timedelta(milliseconds=200)
LONGEST_BACKOFF = timedelta(minutes=1)
UNREADABLE_BACKOFF = timedelta(minutes=1)
"""For a body that this version cannot read: during an upgrade a newer worker can, and takes it in between."""
UNKNOWN_WAITED_FOR = timedelta(minutes=5)
"""For so long, what comes after an event that this version does not know waits for it, so that the order holds while
releases change. After that the newer release is taken to be gone again, and only the event itself waits."""
KEEP_HANDLED = timedelta(days=14)

metadata = MetaData()
table = Table(
    "inbox",
    metadata,
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    *envelope_rows.columns(),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("handled_at", DateTime(timezone=True)),
    Column("dead_at", DateTime(timezone=True)),
    Column("error", Text),
    UniqueConstraint("id"),
    Index(
        "ix_inbox_open",
        text("urgent DESC"),
        "position",
        postgresql_where=text("handled_at IS NULL AND dead_at IS NULL"),
    ),
    Index(
        "ix_inbox_open_key",
        "key",
        "position",
        postgresql_where=text("handled_at IS NULL AND dead_at IS NULL"),
    ),
    Index("ix_inbox_dead", "position", postgresql_where=text("dead_at IS NOT NULL")),
    Index("ix_inbox_handled_at", "handled_at", postgresql_where=text("handled_at IS NOT NULL")),
)
log = get_logger(__name__)


def stage(database: Database, envelopes: Sequence[Envelope]) -> int:
    """Store events as they came; returns how many were new. One that is here already changes nothing."""
    now = utcnow()
    rows = [{**envelope_rows.to_row(each), "received_at": now, "due_at": now} for each in envelopes]
    reach("pump.before_stage")
    with database.transaction() as session:
        statement = insert(table).values(rows).on_conflict_do_nothing(index_elements=["id"])
        fresh = len(session.execute(statement.returning(table.c.id)).all())
        notify(session, CHANNEL)
    reach("pump.after_stage")
    EVENTS_RECEIVED.inc(fresh)
    EVENTS_DUPLICATE.inc(len(rows) - fresh)
    return fresh


class Dispatcher:
    """Handles staged events, each in a transaction of its own that also marks it handled.

    What it does not know is left for a newer worker of the service. But this and all later versions have given up the
    names that are `retired`: such events are closed unread.
    """

    def __init__(
        self,
        database: Database,
        handlers: Handlers,
        *,
        retired: Collection[str] = (),
        max_attempts: int = MAX_ATTEMPTS,
    ) -> None:
        self._database = database
        self._handlers = {event.name: (event, handler) for event, handler in handlers.items()}
        self._names = sorted({*self._handlers, *retired})
        self._max_attempts = max_attempts

    def handle_next(self) -> bool:
        """Handle the next event that is due; False when there is none."""
        with self._database.session() as session:
            row = session.execute(_next_due(self._names)).one_or_none()
            if row is None:
                session.rollback()
                return False
            with correlated(row.request_id, row.traceparent):
                self._attempt(session, row)
        return True

    def next_due_at(self, session: Session) -> datetime | None:
        """When the next open event may be tried, so that a worker knows how long it may sleep."""
        known = table.c.name.in_(self._names)
        return session.scalar(select(func.min(table.c.due_at)).where(_open(table), known))

    def unknown(self, session: Session) -> int:
        """How many events wait for a version of this service that knows them."""
        strange = select(func.count()).select_from(table).where(_open(table), table.c.name.not_in(self._names))
        return session.scalar(strange) or 0

    def _attempt(self, session: Session, row: Row[Any]) -> None:
        try:
            reach("handler.before_effect")
            self._apply(session, row)
            session.execute(_of(row).values(attempts=row.attempts + 1, error=None, **self._what_is_left(row)))
            reach("handler.before_commit")
            session.commit()
        except Exception as error:
            session.rollback()
            self._put_off(row, error)
            return
        reach("handler.after_commit")
        EVENTS_HANDLED.labels(row.name).inc()

    def _apply(self, session: Session, row: Row[Any]) -> None:
        known = self._handlers.get(row.name)
        if known is None:
            return  # retired
        event_type, handler = known
        handler(session, event_type.model_validate_json(row.body))
        session.flush()

    def _what_is_left(self, row: Row[Any]) -> dict[str, datetime]:
        """Nothing: it was handled. Or, of an event that is to be handled once more, the time for that."""
        known = self._handlers.get(row.name)
        again_at = known and known[0].again_after and row.received_at + known[0].again_after
        return {"due_at": again_at} if again_at and again_at > utcnow() else {"handled_at": utcnow()}

    def _put_off(self, row: Row[Any], error: Exception) -> None:
        """Try again later, or set it aside."""
        attempts = row.attempts + 1
        dead = attempts >= self._max_attempts
        pause = UNREADABLE_BACKOFF if isinstance(error, ValidationError) else backoff(attempts)
        values: dict[str, Any] = {"attempts": attempts, "error": f"{type(error).__name__}: {error}"[:2000]}
        values |= {"dead_at": utcnow()} if dead else {"due_at": utcnow() + pause}
        with self._database.transaction() as session:
            session.execute(_of(row).where(table.c.attempts == row.attempts).values(values))
        EVENTS_FAILED.labels(row.name).inc()
        if dead:
            EVENTS_DEAD.labels(row.name).inc()
        log.warning(
            "event_set_aside" if dead else "event_failed",
            event_name=row.name,
            attempts=attempts,
            exc_info=error,
        )


def backoff(attempts: int) -> timedelta:
    return min(FIRST_BACKOFF * 2 ** (attempts - 1), LONGEST_BACKOFF)


def _next_due(names: Collection[str]) -> Any:
    """The first due event of these names, urgent ones first, with no earlier open one of its key.

    What another worker has in hand is locked, and so passed over.
    """
    of_key = table.alias("of_key")
    # A scalar subquery rather than NOT EXISTS: it is looked up row by row until one fits, where the anti-join
    # would hash the whole backlog for every single event.
    is_waited_for = or_(of_key.c.name.in_(names), of_key.c.received_at > utcnow() - UNKNOWN_WAITED_FOR)
    first_of_key = (
        select(func.min(of_key.c.position))
        .where(of_key.c.key == table.c.key, _open(of_key), is_waited_for)
        .scalar_subquery()
    )
    return (
        select(table)
        .where(_open(table), table.c.due_at <= utcnow(), table.c.name.in_(names), table.c.position == first_of_key)
        .order_by(table.c.urgent.desc(), table.c.position)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


def _open(of: Any) -> Any:
    return and_(of.c.handled_at.is_(None), of.c.dead_at.is_(None))


def _of(row: Row[Any]) -> Any:
    return update(table).where(table.c.position == row.position)


def dead_letters(session: Session) -> Sequence[Row[Any]]:
    return session.execute(select(table).where(table.c.dead_at.is_not(None)).order_by(table.c.position)).all()


def replay(session: Session, ids: Sequence[UUID] | None = None) -> int:
    """Give dead letters (these, or all) a fresh set of attempts; returns how many."""
    statement = update(table).where(table.c.dead_at.is_not(None))
    if ids is not None:
        statement = statement.where(table.c.id.in_(ids))
    revived = session.execute(statement.values(dead_at=None, attempts=0, due_at=utcnow()).returning(table.c.id)).all()
    notify(session, CHANNEL)
    return len(revived)


def discard(session: Session, ids: Sequence[UUID]) -> int:
    """Give dead letters up for good: they count as handled. Returns how many."""
    statement = update(table).where(table.c.dead_at.is_not(None), table.c.id.in_(ids))
    return len(session.execute(statement.values(dead_at=None, handled_at=utcnow()).returning(table.c.id)).all())


def lag(session: Session) -> tuple[int, int]:
    """How many events wait to be handled, and how many are dead. What is handled once more, later, waits for nobody."""
    had_effect = and_(table.c.attempts > 0, table.c.error.is_(None))
    opened = session.scalar(select(func.count()).select_from(table).where(_open(table), not_(had_effect))) or 0
    dead = session.scalar(select(func.count()).select_from(table).where(table.c.dead_at.is_not(None))) or 0
    return opened, dead


def prune(session: Session) -> None:
    """Forget what was handled long ago: no bus repeats itself after this time."""
    session.execute(delete(table).where(table.c.handled_at < utcnow() - KEEP_HANDLED))
