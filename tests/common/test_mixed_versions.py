"""Two releases side by side: what only the newer one knows waits for it, whatever becomes of the newer one."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from sqlalchemy import select, text, update

from common import inbox, outbox
from common.bus import Bus
from common.db import Database, utcnow
from common.events import Envelope
from common.ids import new_id
from common.inbox import Dispatcher
from tests.common.toy import Alarmed, Noted, ToyConfig, effect, note
from tests.support.database import empty


class Announced(Noted):
    """Of the next release."""

    name: ClassVar[str] = "toy.announced.v1"


OLDER, NEWER = {Noted: note}, {Noted: note, Announced: note}


@pytest.fixture(autouse=True)
def nothing_left(database: Database) -> Any:
    yield
    empty(database)


def staged(database: Database, *events: Noted) -> None:
    rows = [Envelope(new_id(), each.name, each.key, each.model_dump_json().encode(), utcnow()) for each in events]
    inbox.stage(database, rows)


def handled(database: Database, dispatcher: Dispatcher) -> list[int]:
    """The numbers of what takes effect now."""
    while dispatcher.handle_next():
        pass
    with database.transaction() as session:
        numbers = list(session.scalars(select(effect.c.number).order_by(effect.c.position)))
        session.execute(effect.delete())
    return numbers


def hours_pass(database: Database) -> None:
    long_ago = {name: inbox.table.c[name] - timedelta(hours=1) for name in ("received_at", "due_at")}
    with database.transaction() as session:
        session.execute(update(inbox.table).values(long_ago))


def test_an_event_that_an_older_worker_does_not_know_waits_for_the_newer_one(database: Database) -> None:
    older, newer = Dispatcher(database, OLDER), Dispatcher(database, NEWER)
    staged(database, Announced(subject="a", number=1), Noted(subject="a", number=2), Noted(subject="b", number=3))
    assert handled(database, older) == [3], "what comes after it for the same subject waits as well"
    with database.read() as session:
        assert older.unknown(session) == 1
        assert newer.unknown(session) == 0
    assert handled(database, newer) == [1, 2]


def test_a_newer_worker_that_never_comes_back_holds_up_nobody_for_long(database: Database) -> None:
    older = Dispatcher(database, OLDER)
    staged(database, Announced(subject="a", number=1), Noted(subject="a", number=2))
    assert handled(database, older) == []
    hours_pass(database)
    assert handled(database, older) == [2]
    with database.read() as session:
        assert older.next_due_at(session) is None, "it sleeps meanwhile"
    assert handled(database, Dispatcher(database, NEWER)) == [1]


def test_what_was_given_up_is_closed_unread(database: Database) -> None:
    staged(database, Announced(subject="a", number=1))
    dispatcher = Dispatcher(database, OLDER, retired=[Announced.name])
    assert handled(database, dispatcher) == []
    with database.read() as session:
        assert inbox.lag(session) == (0, 0)


def test_what_cannot_be_read_is_tried_for_minutes_and_then_set_aside(database: Database) -> None:
    inbox.stage(database, [Envelope(new_id(), Noted.name, "a", b'{"subject": 3}', utcnow())])
    dispatcher = Dispatcher(database, OLDER)
    assert handled(database, dispatcher) == []
    with database.read() as session:
        assert not inbox.dead_letters(session)
        due_at = dispatcher.next_due_at(session)
        assert due_at is not None
        assert due_at - utcnow() > timedelta(seconds=50)
    for _ in range(inbox.MAX_ATTEMPTS):
        hours_pass(database)
        handled(database, dispatcher)
    with database.read() as session:
        assert [row.attempts for row in inbox.dead_letters(session)] == [inbox.MAX_ATTEMPTS]


def test_declaring_what_one_knows_takes_nothing_from_others(bus_config: ToyConfig, bus: Bus) -> None:
    bus.declare(bus_config.queue, [Noted.name, Announced.name])
    bus.declare(bus_config.queue, [Noted.name])
    assert arrived(bus_config, bus) == [Announced.name]
    bus.unbind(bus_config.queue, [Announced.name])
    assert arrived(bus_config, bus) == []


def arrived(config: ToyConfig, bus: Bus) -> list[str]:
    """What the queue gets of two events, one of which it should never."""
    names, stop = [], threading.Event()
    for event in (Announced(subject="a", number=1), Alarmed(subject="last", number=2)):
        bus.publish([Envelope(new_id(), event.name, event.key, event.model_dump_json().encode(), utcnow())])

    def take(envelopes: Any) -> None:
        names.extend(each.name for each in envelopes)
        if Alarmed.name in names:
            stop.set()

    bus.consume(config.queue, take, stop)
    return [name for name in names if name != Alarmed.name]


def test_what_the_broker_lost_is_published_again(bus_config: ToyConfig, bus: Bus, database: Database) -> None:
    relay = outbox.Relay(database, bus)
    with database.transaction() as session:
        outbox.record_all(session, [Noted(subject="a", number=number) for number in range(3)])
    assert relay.sweep() == 3
    with database.transaction() as session:
        session.execute(text("UPDATE outbox SET sent_at = sent_at - interval '1 hour' WHERE position % 3 = 0"))
        since = utcnow() - timedelta(minutes=1)
        assert outbox.resend(session, since) == 2
    assert relay.sweep() == 2
