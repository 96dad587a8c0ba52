"""Where bytes wait that one side sends faster than the other takes them: in memory at first, then in a file."""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress

import gevent
from gevent.event import Event

from common.errors import Unavailable
from gateway.http1 import ClientGone, UpstreamFault

IN_MEMORY = 256 * 1024
BLOCK = 65536


class Room:
    """The bytes that all bodies of a process may take up together."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def take(self, size: int) -> None:
        """Raises Unavailable when so much is not left."""
        if size > self._left:
            raise Unavailable("Too many large bodies are under way; try again.", retry_after=5)
        self._left -= size

    def give_back(self, size: int) -> None:
        self._left += size


class Spool:
    """Bytes that are written at the end and read from the beginning."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._memory = bytearray()
        self._file: io.FileIO | None = None
        self._taken = 0
        self.size = 0

    def append(self, data: bytes) -> None:
        """Raises Unavailable where there is no room."""
        self._room.take(len(data))
        self._taken += len(data)
        self.size += len(data)
        if self._file is None and self.size <= IN_MEMORY:
            self._memory += data
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by `close`
            self._file.write(self._memory)
            self._memory = bytearray()
        self._file.write(data)

    def read(self, at: int) -> bytes:
        """At most BLOCK bytes from there on."""
        if self._file is None:
            return bytes(self._memory[at : at + BLOCK])
        self._file.seek(at)
        data = self._file.read(BLOCK)
        self._file.seek(0, 2)
        return data

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._room.give_back(self._taken)
        self._taken = 0


class Follower:
    """A service's answer, read as fast as the service gives it, for a client that may take it slowly.

    The service has its connection back as soon as it has answered. A client that takes less than `least_speed` bytes
    a second over the time, after `grace` seconds, has left.
    """

    def __init__(self, blocks: Iterable[bytes], room: Room, *, grace: float, least_speed: int) -> None:
        self._blocks = blocks
        self._spool = Spool(room)
        self._grace = grace
        self._least_speed = least_speed
        self._has_more = Event()
        self._is_over = False
        self._fault: Exception | None = None
        self._reader = gevent.spawn(self._read)

    def _read(self) -> None:
        try:
            for block in self._blocks:
                if block:
                    self._spool.append(block)
                    self._has_more.set()
        except (UpstreamFault, Unavailable, ClientGone, OSError) as fault:
            self._fault = fault
        self._is_over = True
        self._has_more.set()

    def __iter__(self) -> Iterator[bytes]:
        yield b""  # the head need not wait for the body
        began, at = time.monotonic(), 0
        while True:
            while at < self._spool.size:
                block = self._spool.read(at)
                at += len(block)
                yield block
                if time.monotonic() - began > self._grace + at / self._least_speed:
                    raise ClientGone
            if self._is_over:
                break
            self._has_more.clear()
            self._has_more.wait()
            began = max(began, time.monotonic() - self._grace - at / self._least_speed)
        if self._fault is not None:
            raise self._fault if isinstance(self._fault, UpstreamFault) else UpstreamFault(str(self._fault))

    def close(self) -> None:
        """The service learns that nobody listens, if it is not through yet."""
        with suppress(gevent.GreenletExit):
            self._reader.kill()
        self._spool.close()
