"""A server in a thread of the test's process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import BaseServer
from threading import Thread
from typing import TypeVar

LOOK_EVERY_SECONDS = 0.02
"""How soon it notices that it is told to end."""

Server = TypeVar("Server", bound=BaseServer)


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """For as long as the block lasts; then its port is free again."""
    thread = Thread(target=server.serve_forever, args=[LOOK_EVERY_SECONDS], daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
