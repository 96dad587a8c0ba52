"""Following one's orders: a stream sleeps until the database says that something happened to its user's orders.

All streams of a process share one listening connection; none holds a connection of its own while it sleeps.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

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


@dataclass(slots=True, eq=False)
class _Stream:
    is_allowed: Callable[[], bool]
    woken: threading.Event
    is_over: bool

    def end(self) -> None:
        self.is_over = True
        self.woken.set()


class UpdateStreams:
    """One thread watches over all streams: thousands that woke up by themselves would take a processor."""

    def __init__(self, database: Database, heartbeat_seconds: float) -> None:
        config = database.config
        self._database = database
        self._turn = threading.BoundedSemaphore(config.web_threads)
        self._heartbeat_seconds = heartbeat_seconds
        self._signals = Signals(database.url, config.schema, f"{config.service}-stream")
        self._open: set[_Stream] = set()
        self._lock = threading.Lock()
        self._watcher: threading.Thread | None = None
        self._stopped = threading.Event()

    def begin(self, after: Cursor | None) -> Cursor:
        with self._turn, self._database.read() as session:
            return updates.begin(session, after)

    def follow(self, user_id: UUID, after: Cursor, is_allowed: Callable[[], bool]) -> Iterator[tuple[Update, ...]]:
        """Updates as they happen; an empty tuple is a heartbeat. Ends when not allowed any more, or on a stop."""
        with self._signals.expecting(CHANGED, str(user_id)) as woken, self._watched(is_allowed, woken) as stream:
            pause = UNSETTLED_SECONDS
            while not stream.is_over:
                woken.clear()
                batch = self._look(user_id, after)
                if batch is None or stream.is_over:
                    return
                if batch.updates:
                    after = batch.updates[-1].cursor
                    yield batch.updates
                if batch.is_whole:
                    yield from self._sleep(stream)
                elif not batch.updates and not woken.wait(pause):
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

    def _sleep(self, stream: _Stream) -> Iterator[tuple[Update, ...]]:
        """Heartbeats until something happened, or it is time to look again."""
        deadline = time.monotonic() + LOOK_AGAIN_SECONDS
        while not stream.is_over and time.monotonic() < deadline:
            if stream.woken.wait(self._heartbeat_seconds):
                return
            yield ()

    @contextmanager
    def _watched(self, is_allowed: Callable[[], bool], woken: threading.Event) -> Iterator[_Stream]:
        stream = _Stream(is_allowed, woken, is_over=self._stopped.is_set())
        with self._lock:
            self._open.add(stream)
            if self._watcher is None or not self._watcher.is_alive():
                self._watcher = threading.Thread(target=self._watch, name="stream-watcher", daemon=True)
                self._watcher.start()
        try:
            yield stream
        finally:
            self._open.discard(stream)

    def _watch(self) -> None:
        while not self._stopped.wait(CHECK_SECONDS):
            for count, stream in enumerate(list(self._open)):
                if not stream.is_allowed():
                    stream.end()
                if count % STREAMS_PER_TURN == STREAMS_PER_TURN - 1:
                    time.sleep(0)

    def stop(self) -> None:
        """Every stream ends: its client comes back to another instance."""
        self._stopped.set()
        for stream in list(self._open):
            stream.end()

    def close(self) -> None:
        self.stop()
        self._signals.close()
