"""What an event costs on its way from an outbox to its effect, against a bare transaction of one insert.

    python -m benchmarks.events                                   the Postgres bus
    TEST_EVENT_BUS_URL=amqp://… python -m benchmarks.events       RabbitMQ, and what pipelined confirms are worth

Uses TEST_DATABASE_URL's server, or an embedded one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

import pika
from sqlalchemy import insert

from common import inbox, outbox
from common.bus import Bus, open_bus
from common.bus.rabbitmq import RabbitMQBus
from common.db import Database, utcnow
from common.events import Envelope
from common.ids import new_id
from common.provision import provision
from common.worker import Worker
from tests.common import toy
from tests.common.toy import Noted, ToyConfig, effect
from tests.support.database import environment, fresh_database, postgres_server
from tests.support.waiting import eventually

EVENTS = 3000


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def bare_transactions(database: Database) -> None:
    for number in range(EVENTS):
        with database.transaction() as session:
            session.execute(insert(effect).values(subject="bare", number=number))


def through_the_worker(config: ToyConfig, database: Database) -> float:
    with database.transaction() as session:
        outbox.record_all(session, [Noted(subject=f"s{n}", number=n) for n in range(EVENTS)])
    worker = Worker(config, toy.HANDLERS)
    start = time.perf_counter()
    worker.start()
    eventually(lambda: is_settled(database), within=120, every=0.05)
    elapsed = time.perf_counter() - start
    worker.shut_down()
    return elapsed


def is_settled(database: Database) -> bool:
    with database.read() as session:
        return outbox.lag(session)[0] == 0 and inbox.lag(session)[0] == 0


def latency(config: ToyConfig, database: Database) -> float:
    """Median seconds from the commit of one event to its effect, with nothing else to do."""
    seen: list[float] = []
    worker = Worker(config, {Noted: lambda _session, _event: seen.append(time.perf_counter())})
    worker.start()
    took = []
    for number in range(60):
        start = time.perf_counter()
        with database.transaction() as session:
            outbox.record(session, Noted(subject="one", number=number))
        eventually(lambda n=number: len(seen) > n, every=0.0005)  # type: ignore[misc]
        took.append(seen[-1] - start)
    worker.shut_down()
    return sorted(took[10:])[25]


def envelopes() -> list[Envelope]:
    return [Envelope(new_id(), Noted.name, "k", b"{}", utcnow()) for _ in range(outbox.BATCH)]


def one_by_one(url: str, exchange: str) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.confirm_delivery()
    for each in envelopes():
        channel.basic_publish(exchange, each.name, each.body, pika.BasicProperties(delivery_mode=2))
    connection.close()


def compare_confirms(bus: RabbitMQBus, url: str) -> None:
    bus.publish(envelopes()[:1])
    pipelined = timed(lambda: bus.publish(envelopes()))
    blocking = timed(lambda: one_by_one(url, bus.exchange))
    print(f"confirms pipelined: {blocking / pipelined:.1f}x the speed of one by one ({outbox.BATCH} events)")


def run(config: ToyConfig, database: Database, bus: Bus) -> None:
    bus.declare(config.queue, [Noted.name])
    bare = timed(lambda: bare_transactions(database))
    worked = through_the_worker(config, database)
    print(f"an event, recorded to handled: {worked / bare:.1f}x a bare transaction ({EVENTS / worked:.0f} events/s)")
    print(f"one event alone, commit to effect: {latency(config, database) / (bare / EVENTS):.1f}x a bare transaction")


def main() -> None:
    with postgres_server() as server, fresh_database(server) as url:
        config = ToyConfig.from_env(environment(url, "toy"))
        provision(config, url)
        broker = os.environ.get("TEST_EVENT_BUS_URL")
        if broker:
            config = replace(config, event_bus_url=f"{broker}?namespace=benchmark-{uuid4().hex[:8]}")
        database = Database(config)
        toy.create_tables(database)
        bus = open_bus(config.event_bus_url, "benchmark")
        run(config, database, bus)
        if isinstance(bus, RabbitMQBus) and broker:
            compare_confirms(bus, broker)
            bus.remove(config.queue)
        bus.close()
        database.close()


if __name__ == "__main__":
    main()
