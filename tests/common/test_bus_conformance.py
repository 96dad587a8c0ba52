"""What every bus must do, tried on each of them with the real outbox, inbox and worker around it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pika.exceptions import ChannelClosedByBroker
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from common import failpoints, inbox, outbox
from common.bus import Bus
from common.db import Database
from common.events import Envelope
from common.inbox import Handlers
from common.telemetry import correlated
from common.worker import Worker
from tests.common import toy
from tests.common.toy import Alarmed, Ended, Noted, ToyConfig, effect, note
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
WORKER = [sys.executable, "-c", "from tests.common import toy; toy.run()", "worker"]
CRASH_SITES = [name for name in failpoints.NAMES if not name.startswith(("request.", "payment."))]


@contextmanager
def working(config: ToyConfig, handlers: Handlers = toy.HANDLERS) -> Iterator[Worker]:
    worker = Worker(config, handlers)
    worker.start()
    try:
        yield worker
    finally:
        worker.shut_down()


def record(database: Database, *events: Noted) -> None:
    with database.transaction() as session:
        outbox.record_all(session, events)


def effects(database: Database) -> list[Any]:
    with database.read() as session:
        return list(session.execute(select(effect).order_by(effect.c.position)).all())


def settled(database: Database) -> bool:
    """Nothing is on its way any more."""
    with database.read() as session:
        return outbox.lag(session)[0] == 0 and inbox.lag(session)[0] == 0


def test_events_of_a_key_take_effect_in_order_whoever_handles_them(bus_config: ToyConfig, database: Database) -> None:
    with working(bus_config), working(bus_config):
        for start in range(0, 200, 20):
            record(database, *(Noted(subject=f"s{n % 5}", number=n) for n in range(start, start + 20)))
        eventually(lambda: len(effects(database)) >= 200)
    for subject in {row.subject for row in effects(database)}:
        numbers = [row.number for row in effects(database) if row.subject == subject]
        assert numbers == sorted(numbers)
        assert len(numbers) == 40


def test_an_event_delivered_twice_takes_effect_once(bus_config: ToyConfig, bus: Bus, database: Database) -> None:
    record(database, Noted(subject="twice", number=1))
    with working(bus_config):
        eventually(lambda: effects(database))
        with database.read() as session:
            row = session.execute(select(outbox.table)).one()
        again = Envelope(row.id, row.name, row.key, row.body, row.recorded_at)
        bus.publish([again, again])
        record(database, Noted(subject="twice", number=2))
        eventually(lambda: len(effects(database)) == 2)
    assert [row.number for row in effects(database)] == [1, 2]


def test_a_consumer_that_was_down_gets_what_it_missed(bus_config: ToyConfig, bus: Bus, database: Database) -> None:
    record(database, *(Noted(subject="missed", number=n) for n in range(3)))
    relay = outbox.Relay(database, bus)
    assert relay.sweep() == 3
    with working(bus_config):
        eventually(lambda: len(effects(database)) == 3)


def test_two_workers_of_a_service_share_the_work(bus_config: ToyConfig, database: Database) -> None:
    """A meeting of more handlers at once than one worker has threads."""
    meeting = threading.Barrier(3, timeout=15)

    def meet(session: Session, event: Noted) -> None:
        meeting.wait()
        note(session, event)

    with working(bus_config, {Noted: meet}), working(bus_config, {Noted: meet}):
        record(database, *(Noted(subject=f"apart{n}", number=n) for n in range(3)))
        eventually(lambda: len(effects(database)) == 3, within=20)


def test_a_poison_event_is_set_aside_and_holds_up_nothing_else(
    bus_config: ToyConfig, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "UNREADABLE_BACKOFF", timedelta(0))
    spoilt = {"id": toy_id(), "name": Noted.name, "key": "poison", "body": b'{"subject": 3}'}
    with database.transaction() as session:
        session.execute(outbox.table.insert().values(**spoilt, recorded_at=func.now()))
    record(database, Noted(subject="poison", number=1), Noted(subject="other", number=2))
    with working(bus_config):
        eventually(lambda: len(effects(database)) == 2)
    with database.transaction() as session:
        (dead,) = inbox.dead_letters(session)
        assert dead.id == spoilt["id"]
        assert "ValidationError" in dead.error
        assert inbox.replay(session) == 1


def toy_id() -> Any:
    from common.ids import new_id

    return new_id()


def test_a_failing_handler_is_tried_again_in_order_until_it_succeeds(bus_config: ToyConfig, database: Database) -> None:
    failures = iter([True, True, False])

    def fail_twice(session: Session, event: Noted) -> None:
        note(session, event)
        if event.number == 1 and next(failures):
            raise RuntimeError("not yet")

    with working(bus_config, {Noted: fail_twice}):
        record(database, Noted(subject="again", number=1), Noted(subject="again", number=2))
        eventually(lambda: len(effects(database)) == 2)
    assert [row.number for row in effects(database)] == [1, 2]


def test_an_urgent_event_overtakes_a_backlog(bus_config: ToyConfig, bus: Bus, database: Database) -> None:
    record(database, *(Noted(subject=f"bulk{n}", number=n) for n in range(100)))
    outbox.Relay(database, bus).sweep()
    record(database, Alarmed(subject="order", number=1000), Alarmed(subject="order", number=1001))
    arrived: list[Envelope] = []
    stop = threading.Event()

    def take(envelopes: Sequence[Envelope]) -> None:
        inbox.stage(database, envelopes)
        arrived.extend(envelopes)
        if len(arrived) == 102:
            stop.set()

    outbox.Relay(database, bus).sweep()
    bus.consume(bus_config.queue, take, stop)
    dispatcher = inbox.Dispatcher(database, toy.HANDLERS)
    while dispatcher.handle_next():
        pass
    assert [row.number for row in effects(database)] == [1000, 1001, *range(100)]


def test_what_an_event_ended_is_ended_once_more_a_while_later(bus_config: ToyConfig, database: Database) -> None:
    record(database, Ended(subject="a", number=1))
    with working(bus_config):
        eventually(lambda: effects(database))
    dispatcher = inbox.Dispatcher(database, toy.HANDLERS)
    assert not dispatcher.handle_next(), "not before its time"
    assert settled(database), "nobody waits for it"
    times = {name: inbox.table.c[name] - Ended.again_after for name in ("received_at", "due_at")}
    with database.transaction() as session:
        session.execute(update(inbox.table).values(times))
    assert [dispatcher.handle_next() for _ in range(2)] == [True, False]
    assert [row.number for row in effects(database)] == [1, 1]


def test_a_trace_goes_on_behind_the_event(bus_config: ToyConfig, database: Database) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    with correlated("request-1", f"00-{trace}-00f067aa0ba902b7-01"):
        record(database, Noted(subject="traced", number=1))
    with working(bus_config):
        (row,) = eventually(lambda: effects(database))
    assert row.traceparent.split("-")[1] == trace


@pytest.mark.parametrize("site", CRASH_SITES)
def test_a_crash_at_any_line_loses_nothing_and_doubles_nothing(
    bus_config: ToyConfig, database: Database, site: str
) -> None:
    record(database, Noted(subject="crash", number=1), Noted(subject="crash", number=2))
    crashed = subprocess.run(
        WORKER, env=worker_environment(bus_config, FAIL_POINT=site), cwd=ROOT, timeout=30, check=False
    )
    assert crashed.returncode == failpoints.EXIT_STATUS
    with working(bus_config):
        eventually(lambda: len(effects(database)) >= 2 and settled(database))
    assert [row.number for row in effects(database)] == [1, 2]


def worker_environment(config: ToyConfig, **extra: str) -> Mapping[str, str]:
    names = ("database_url", "event_bus_url", "service_client_secret", "log_level")
    return {**os.environ, **{name.upper(): asdict(config)[name] for name in names}, **extra}


@pytest.mark.rabbitmq
def test_what_is_no_event_at_all_goes_to_the_dead_letter_queue(database: Database, config: ToyConfig) -> None:
    from dataclasses import replace

    from common.bus.rabbitmq import RabbitMQBus
    from tests.common.conftest import rabbitmq_url

    chosen = replace(config, event_bus_url=rabbitmq_url())
    bus = RabbitMQBus(chosen.event_bus_url, "tests")
    bus.declare(chosen.queue, [Noted.name])
    with bus._channel() as channel:
        channel.basic_publish(bus.exchange, Noted.name, b"\xff not an event")
    record(database, Noted(subject="after", number=1))
    with working(chosen):
        eventually(lambda: effects(database))
        eventually(lambda: bus.set_aside(chosen.queue) == 1)
    bus.remove(chosen.queue)
    bus.close()


@pytest.mark.rabbitmq
def test_the_exchanges_go_with_the_last_queue() -> None:
    from common.bus.rabbitmq import RabbitMQBus
    from tests.common.conftest import rabbitmq_url

    bus = RabbitMQBus(rabbitmq_url(), "tests")
    for queue in ("one", "other"):
        bus.declare(queue, [Noted.name])
    left = []
    for queue in ("one", "other"):
        bus.remove(queue)
        left.append([each for each in (bus.exchange, f"{bus.exchange}.dead") if exists(bus, each)])
    assert left == [[bus.exchange, f"{bus.exchange}.dead"], []]
    bus.close()


def exists(bus: Any, exchange: str) -> bool:
    with bus._channel() as channel:
        try:
            channel.exchange_declare(exchange, passive=True)
        except ChannelClosedByBroker:
            return False
    return True
