"""The second process of every service: relays the outbox, stages and handles events, and runs timers."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from common import inbox, outbox
from common.bus import Bus, BusUnavailable, open_bus
from common.config import ServiceConfig
from common.db import Database, utcnow
from common.health import Draining
from common.inbox import Dispatcher, Handlers
from common.metrics import BUS_UP, DEAD_LETTERS, INBOX_DEPTH, INBOX_UNKNOWN, OUTBOX_AGE, OUTBOX_DEPTH
from common.outbox import Relay
from common.signals import Signals, wait_for_either
from common.telemetry import correlated, get_logger

LOOK_AGAIN_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 5.0
GRACE_SECONDS = 25.0
HANDLER_THREADS = 2
log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Timer:
    """`run` is called every so many seconds in one thread; what it does must bear being done by two workers at once."""

    name: str
    every_seconds: float
    run: Callable[[Database, Any], None]


class Worker:
    def __init__(
        self,
        config: ServiceConfig,
        handlers: Handlers,
        timers: Sequence[Timer] = (),
        *,
        retired: Collection[str] = (),
        bus: Bus | None = None,
    ) -> None:
        self.config = config
        self.database = Database(config, pool_size=HANDLER_THREADS + 4)
        self.stop = threading.Event()
        self._bus = bus or open_bus(config.event_bus_url, f"{config.service}-worker")
        self._signals = Signals(self.database.direct_url, config.schema, f"{config.service}-worker")
        self._relay = Relay(self.database, self._bus)
        self._dispatcher = Dispatcher(self.database, handlers, retired=retired)
        self._timers = [*timers, *self._own_timers(), *_HOUSEKEEPING]
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        self._spawn("relay", lambda: self._until_stopped(outbox.CHANNEL, self._relay_all))
        self._spawn("pump", self._pump)
        for number in range(HANDLER_THREADS):
            self._spawn(f"handler-{number}", lambda: self._until_stopped(inbox.CHANNEL, self._handle_all))
        for timer in self._timers:
            self._spawn(f"timer-{timer.name}", lambda timer=timer: self._tick(timer))  # type: ignore[misc]

    def run(self) -> None:
        """Work until TERM or INT, then finish what is under way; an event half handled is rolled back."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._begin_to_end())
        self.start()
        self._ping_bus()
        log.info("worker_started")
        while not self.stop.wait(1.0):
            self._require_threads()
        self.shut_down()
        log.info("worker_stopped")

    def _begin_to_end(self) -> None:
        Draining.begun.set()
        self.stop.set()

    def shut_down(self) -> None:
        self._begin_to_end()
        deadline = time.monotonic() + GRACE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._signals.close()
        self._bus.close()
        self.database.close()

    def _spawn(self, name: str, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _require_threads(self) -> None:
        """A thread never ends by itself; should one, the process must not pretend to be well."""
        if dead := [thread.name for thread in self._threads if not thread.is_alive()]:
            log.critical("worker_thread_died", threads=dead)
            raise SystemExit(1)

    def _until_stopped(self, channel: str, work: Callable[[], float]) -> None:
        """Do `work` whenever `channel` is notified; it returns for how many seconds it may sleep at most."""
        pause = 0.1
        with self._signals.expecting(channel) as woken:
            while not self.stop.is_set():
                woken.clear()
                try:
                    wait = work()
                    pause = 0.1
                except Exception as error:
                    log.warning("work_failed", channel=channel, error=repr(error)[:300])
                    wait, pause = pause, min(pause * 2, LONGEST_PAUSE_SECONDS)
                    self.stop.wait(wait)
                    continue
                wait_for_either(woken, self.stop, wait)

    def _own_timers(self) -> list[Timer]:
        return [
            Timer("ping-bus", 5.0, lambda *_: self._ping_bus()),
            Timer("measure-unknown", 10.0, lambda *_: self._measure_unknown()),
        ]

    def _measure_unknown(self) -> None:
        with self.database.read() as session:
            INBOX_UNKNOWN.set(self._dispatcher.unknown(session))

    def _relay_all(self) -> float:
        while not self.stop.is_set() and self._relay.sweep():
            pass
        return LOOK_AGAIN_SECONDS

    def _handle_all(self) -> float:
        while not self.stop.is_set() and self._dispatcher.handle_next():
            pass
        with self.database.read() as session:
            due_at = self._dispatcher.next_due_at(session)
        if due_at is None:
            return LOOK_AGAIN_SECONDS
        return min(max((due_at - utcnow()).total_seconds(), 0.02), LOOK_AGAIN_SECONDS)

    def _pump(self) -> None:
        self._bus.consume(self.config.queue, lambda envelopes: inbox.stage(self.database, envelopes), self.stop)

    def _ping_bus(self) -> None:
        try:
            self._bus.ping()
            BUS_UP.set(1)
        except BusUnavailable:
            BUS_UP.set(0)

    def _tick(self, timer: Timer) -> None:
        while not self.stop.wait(timer.every_seconds):
            try:
                with correlated(None, None):
                    timer.run(self.database, self.config)
            except Exception:
                log.exception("timer_failed", timer=timer.name)


def _prune(database: Database, _config: ServiceConfig) -> None:
    with database.transaction() as session:
        outbox.prune(session)
        inbox.prune(session)


def _measure(database: Database, _config: ServiceConfig) -> None:
    with database.read() as session:
        depth, age = outbox.lag(session)
        opened, dead = inbox.lag(session)
    OUTBOX_DEPTH.set(depth)
    OUTBOX_AGE.set(age)
    INBOX_DEPTH.set(opened)
    DEAD_LETTERS.set(dead)


_HOUSEKEEPING = (Timer("prune", 3600.0, _prune), Timer("measure", 10.0, _measure))


def in_one_session(work: Callable[[Session], object]) -> Callable[[Database, Any], None]:
    """A timer's function from work that needs one transaction and nothing else."""

    def run(database: Database, _config: Any) -> None:
        with database.transaction() as session:
            work(session)

    return run
