"""Following one's orders: a stream sleeps until the database says that something happened to its user's orders.

All streams of a process share one listening connection; none holds a connection of its own while it sleeps.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from common.addresses import network_of
from common.db import Database
from common.signals import Signals
from common.telemetry import get_logger
from order_service.domain import updates
from order_service.domain.status import CHANGED
from order_service.domain.updates import Cursor, Update

CHECK_SECONDS = 0.25
"""How often it is asked, for all open streams at once, whether they are still allowed."""
UNSETTLED_SECONDS = 0.1
LONGEST_UNSETTLED_SECONDS = 3.0
"""While an older transaction goes on, looking again and again takes what it needs to end."""
LOOK_AGAIN_SECONDS = 300.0
"""A stream that was not woken for so long looks all the same: a wake-up is only a hint."""
STREAMS_PER_TURN = 500

log = get_logger(__name__)


TOO_MANY = "too_many_streams"


@dataclass(slots=True, eq=False)
class Listener:
    """Who follows their orders, and from where. `closed_because` says why that ended, where coming again is no use."""

    user_id: UUID
    address: str
    is_allowed: Callable[[], bool]
    closed_because: str | None = None
    is_over: bool = False
    woken: threading.Event = field(default_factory=threading.Event)

    def end(self, because: str | None = None) -> None:
        self.closed_because = because
        self.is_over = True
        self.woken.set()


class Crowd:
    """The open streams of this process: so many of one person and from one address, and then the oldest has to go.

    No limit where it is 0.
    """

    def __init__(self, per_person: int, per_address: int) -> None:
        self._per_person = per_person
        self._per_address = per_address
        self._of: defaultdict[object, dict[Listener, None]] = defaultdict(dict)
        self._all: set[Listener] = set()

    def __iter__(self) -> Iterator[Listener]:
        return iter(list(self._all))

    def join(self, listener: Listener) -> None:
        self._all.add(listener)
        for key, most in self._limits(listener):
            self._of[key][listener] = None
            going_on = [each for each in self._of[key] if not each.is_over]
            if 0 < most < len(going_on):
                going_on[0].end(TOO_MANY)

    def leave(self, listener: Listener) -> None:
        self._all.discard(listener)
        for key, _ in self._limits(listener):
            self._of[key].pop(listener, None)
            if not self._of[key]:
                del self._of[key]

    def _limits(self, listener: Listener) -> tuple[tuple[object, int], ...]:
        return (listener.user_id, self._per_person), (network_of(listener.address), self._per_address)


class UpdateStreams:
    """One thread watches over all streams: thousands that woke up by themselves would take a processor."""

    def __init__(self, database: Database, heartbeat_seconds: float, crowd: Crowd) -> None:
        config = database.config
        self._database = database
        self._turn = threading.BoundedSemaphore(config.web_connections)
        self._heartbeat_seconds = heartbeat_seconds
        self._signals = Signals(database.direct_url, config.schema, f"{config.service}-stream")
        self._open = crowd
        self._lock = threading.Lock()
        self._watcher: threading.Thread | None = None
        self._stopped = threading.Event()

    def begin(self, after: Cursor | None) -> Cursor:
        with self._turn, self._database.read() as session:
            return updates.begin(session, after)

    def follow(self, listener: Listener, after: Cursor) -> Iterator[tuple[Update, ...]]:
        """Updates as they happen; an empty tuple is a heartbeat. Ends when not allowed any more, or on a stop."""
        with self._signals.expecting(CHANGED, str(listener.user_id)) as listener.woken, self._watched(listener):
            pause = UNSETTLED_SECONDS
            while not listener.is_over:
                listener.woken.clear()
                batch = self._look(listener.user_id, after)
                if batch is None or listener.is_over:
                    return
                if batch.updates:
                    after = batch.updates[-1].cursor
                    yield batch.updates
                if batch.is_whole:
                    yield from self._sleep(listener)
                elif not batch.updates and not listener.woken.wait(pause):
                    pause = min(2 * pause, LONGEST_UNSETTLED_SECONDS)
                    continue
                pause = UNSETTLED_SECONDS

    def _look(self, user_id: UUID, after: Cursor) -> updates.Batch | None:
        """None without a database. Streams that were woken together wait in line for its few connections."""
        try:
            with self._turn, self._database.read() as session:
                return updates.since(session, user_id, after)
        except (DBAPIError, PoolTimeout) as error:
            log.warning("stream_ended", error=type(error).__name__)
            return None

    def _sleep(self, listener: Listener) -> Iterator[tuple[Update, ...]]:
        """Heartbeats until something happened, or it is time to look again."""
        deadline = time.monotonic() + LOOK_AGAIN_SECONDS
        while not listener.is_over and time.monotonic() < deadline:
            if listener.woken.wait(self._heartbeat_seconds):
                return
            yield ()

    @contextmanager
    def _watched(self, listener: Listener) -> Iterator[None]:
        with self._lock:
            if self._stopped.is_set():
                listener.end()
            self._open.join(listener)
            if self._watcher is None or not self._watcher.is_alive():
                self._watcher = threading.Thread(target=self._watch, name="stream-watcher", daemon=True)
                self._watcher.start()
        try:
            yield
        finally:
            with self._lock:
                self._open.leave(listener)

    def _watch(self) -> None:
        while not self._stopped.wait(CHECK_SECONDS):
            for count, listener in enumerate(self._open):
                if not listener.is_over and not listener.is_allowed():
                    listener.end()
                if count % STREAMS_PER_TURN == STREAMS_PER_TURN - 1:
                    time.sleep(0)

    def stop(self) -> None:
        """Every stream ends: its client comes back to another instance."""
        self._stopped.set()
        for listener in self._open:
            listener.end()

    def close(self) -> None:
        self.stop()
        self._signals.close()
