"""Events on tables of Postgres, for a store without a broker: the same semantics, woken by NOTIFY."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Identity,
    Index,
    MetaData,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import DBAPIError

from common import envelope_rows
from common.bus.protocol import BusUnavailable, Deliver
from common.db import open_engine, psycopg2_url
from common.events import Envelope
from common.failpoints import reach
from common.signals import Signals, wait_for_either
from common.telemetry import get_logger

SCHEMA = "bus"
PREFETCH = 200
LOOK_AGAIN_SECONDS = 2.0

metadata = MetaData()
binding = Table(
    "binding",
    metadata,
    Column("queue", Text, primary_key=True),
    Column("name", Text, primary_key=True),
)
message = Table(
    "message",
    metadata,
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    Column("queue", Text, nullable=False),
    *envelope_rows.columns(),
    Index("ix_message_queue_urgent_position", "queue", text("urgent DESC"), "position"),
)
log = get_logger(__name__)


class PostgresBus:
    def __init__(self, url: str, client: str) -> None:
        self._url = psycopg2_url(url)
        self._signals = Signals(self._url, SCHEMA, client)
        self._engine = open_engine(
            self._url, schema=SCHEMA, application_name=f"{client}-bus", pool_size=2, max_overflow=1
        )

    def declare(self, queue: str, names: Collection[str]) -> None:
        with self._transaction() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('bus.declare'))"))
            metadata.create_all(connection)
            if names:
                rows = [{"queue": queue, "name": name} for name in names]
                connection.execute(upsert(binding).on_conflict_do_nothing(), rows)

    def unbind(self, queue: str, names: Collection[str]) -> None:
        with self._transaction() as connection:
            connection.execute(delete(binding).where(binding.c.queue == queue, binding.c.name.in_(names)))

    def publish(self, envelopes: Sequence[Envelope]) -> None:
        with self._transaction() as connection:
            queues: dict[str, list[str]] = {}
            for bound in connection.execute(select(binding)):
                queues.setdefault(bound.name, []).append(bound.queue)
            rows = [
                {"queue": queue, **envelope_rows.to_row(envelope)}
                for envelope in envelopes
                for queue in queues.get(envelope.name, ())
            ]
            if rows:
                connection.execute(insert(message), rows)
            for queue in {row["queue"] for row in rows}:
                connection.execute(select(func.pg_notify(f"{SCHEMA}_{queue}", "")))
            reach("relay.before_confirm")

    def consume(self, queue: str, deliver: Deliver, stop: threading.Event) -> None:
        with self._signals.expecting(queue) as woken:
            while not stop.is_set():
                woken.clear()
                try:
                    while not stop.is_set() and self._take(queue, deliver):
                        pass
                except Exception as error:
                    log.warning("delivery_failed", queue=queue, error=repr(error)[:300])
                    stop.wait(0.5)
                wait_for_either(woken, stop, LOOK_AGAIN_SECONDS)

    def _take(self, queue: str, deliver: Deliver) -> bool:
        """Deliver one batch; whether there may be more. The transaction's end is the acknowledgement."""
        with self._transaction() as connection:
            if not connection.scalar(
                text("SELECT pg_try_advisory_xact_lock(hashtext('bus.consume'), hashtext(:queue))"),
                {"queue": queue},
            ):
                return False
            rows = connection.execute(
                select(message)
                .where(message.c.queue == queue)
                .order_by(message.c.urgent.desc(), message.c.position)
                .limit(PREFETCH)
                .with_for_update(skip_locked=True)
            ).all()
            if not rows:
                return False
            deliver([envelope_rows.from_row(row) for row in rows])
            positions = [row.position for row in rows]
            connection.execute(delete(message).where(message.c.position.in_(positions)))
        reach("pump.after_ack")
        return True

    def set_aside(self, queue: str) -> int:
        """None: what stands in these tables was put there by `publish`."""
        return 0

    def ping(self) -> None:
        with self._transaction() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        self._signals.close()
        self._engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise BusUnavailable(str(error.orig)) from error
