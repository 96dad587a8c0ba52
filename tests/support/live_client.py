"""A client of Socket.IO, python-socketio's own, that keeps what it was told."""

from __future__ import annotations

import queue
from typing import Any, Self

import socketio
from socketio.exceptions import ConnectionError as SocketIOError

TIMEOUT = 20


class ConnectionRefused(Exception):
    """With the problem object that `connect_error` brought."""

    def __init__(self, told: dict[str, Any]) -> None:
        super().__init__(told.get("message"))
        self.problem: dict[str, Any] = told.get("data", {})


class LiveClient:
    """One connection, which does not come back by itself.

    `cursor` is what to come back with, `farewell` why it was closed.
    """

    def __init__(self, url: str, auth: Any, *, headers: dict[str, str] | None = None) -> None:
        """Raises ConnectionRefused."""
        self.cursor = ""
        self.farewell: dict[str, Any] = {}
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._client = socketio.Client(reconnection=False)
        refusals: list[dict[str, Any]] = []
        self._client.on("order_cursor", self._place)
        self._client.on("order_update", self._events.put)
        self._client.on("closed", self.farewell.update)
        self._client.on("disconnect", lambda *_: self._events.put(None))
        self._client.on("connect_error", refusals.append)
        try:
            self._client.connect(url, auth=auth, headers=headers or {}, transports=["websocket"], wait_timeout=TIMEOUT)
        except SocketIOError:
            if not refusals or not isinstance(refusals[0], dict):
                raise
            raise ConnectionRefused(refusals[0]) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()

    def _place(self, data: dict[str, Any]) -> None:
        self.cursor = data["cursor"]

    def next(self) -> dict[str, Any]:
        """The next update. Raises EOFError when the connection has ended, and queue.Empty when none comes."""
        update = self._events.get(timeout=TIMEOUT)
        if update is None:
            raise EOFError
        self.cursor = update["cursor"]
        return update

    def is_quiet(self, *, for_seconds: float) -> bool:
        try:
            self._events.get(timeout=for_seconds)
        except queue.Empty:
            return True
        return False

    def has_ended(self, *, within: float) -> bool:
        """Whether the server ends the connection in time, without another update."""
        try:
            return self._events.get(timeout=within) is None
        except queue.Empty:
            return False
