"""Being woken by the database: LISTEN on one connection, for all threads of a process.

A wake-up is a hint, never the only way to find out: who waits looks again after a while, since notifications
are not kept for a listener that was away.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT, connection
from sqlalchemy.engine import URL

from common.telemetry import get_logger

LONGEST_PAUSE_SECONDS = 5.0
NOTICE_STOP_SECONDS = 0.2
log = get_logger(__name__)


class Signals:
    """Listens to channels of one schema; starts its thread when first waited upon, so that it survives a fork."""

    def __init__(self, url: URL, schema: str, application_name: str) -> None:
        self._url = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._prefix = f"{schema}_"
        self._application_name = application_name
        self._waiting: dict[tuple[str, str | None], set[threading.Event]] = {}
        self._channels: set[str] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._wake_thread: socket.socket | None = None

    @contextmanager
    def expecting(self, channel: str, payload: str | None = None) -> Iterator[threading.Event]:
        """An event that is set by each notification on `channel` (with `payload`, if one is given).

        It is also set when the connection was lost meanwhile: look again at what you wait for.
        """
        woken = threading.Event()
        with self._lock:
            self._waiting.setdefault((channel, payload), set()).add(woken)
            self._channels.add(channel)
            self._start()
            self._nudge()
        try:
            yield woken
        finally:
            with self._lock:
                waiting = self._waiting[channel, payload]
                waiting.discard(woken)
                if not waiting:
                    del self._waiting[channel, payload]

    def close(self) -> None:
        self._stop.set()
        self._nudge()
        if self._thread:
            self._thread.join(timeout=2)

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._wake_thread, woken = socket.socketpair()
            self._wake_thread.setblocking(False)
            self._thread = threading.Thread(target=self._run, args=[woken], name="signals", daemon=True)
            self._thread.start()

    def _nudge(self) -> None:
        """Have the thread look at its channels now; with a full buffer it will anyway, with a closed one it is over."""
        with suppress(BlockingIOError, BrokenPipeError):
            if self._wake_thread:
                self._wake_thread.send(b".")

    def _run(self, nudged: socket.socket) -> None:
        pause = 0.1
        while not self._stop.is_set():
            try:
                self._listen(nudged)
                pause = 0.1
            except psycopg2.Error as error:
                log.warning("signals_lost", error=type(error).__name__)
                self._wake_all()
                self._stop.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _listen(self, nudged: socket.socket) -> None:
        opened = psycopg2.connect(self._url, connect_timeout=5, application_name=f"{self._application_name}-signals")
        try:
            opened.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
            listening: set[str] = set()
            while not self._stop.is_set():
                if missing := self._channels - listening:
                    self._listen_to(opened, missing)
                    listening |= missing
                    self._wake_all()
                readable, _, _ = select.select([opened.fileno(), nudged.fileno()], [], [], 5.0)
                if nudged.fileno() in readable:
                    nudged.recv(4096)
                opened.poll()
                self._dispatch(opened)
        finally:
            opened.close()

    def _listen_to(self, opened: connection, channels: set[str]) -> None:
        with opened.cursor() as cursor:
            for channel in channels:
                cursor.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._prefix + channel)))

    def _dispatch(self, opened: connection) -> None:
        while opened.notifies:
            notification = opened.notifies.pop(0)
            channel = notification.channel.removeprefix(self._prefix)
            with self._lock:
                woken = [
                    *self._waiting.get((channel, None), ()),
                    *self._waiting.get((channel, notification.payload), ()),
                ]
            for event in woken:
                event.set()

    def _wake_all(self) -> None:
        with self._lock:
            woken = [event for events in self._waiting.values() for event in events]
        for event in woken:
            event.set()


def wait_for_either(woken: threading.Event, stop: threading.Event, seconds: float) -> None:
    """Sleep until woken or for so long; a stop is noticed soon."""
    deadline = time.monotonic() + seconds
    while not stop.is_set() and (left := deadline - time.monotonic()) > 0:
        if woken.wait(min(left, NOTICE_STOP_SECONDS)):
            return
