"""The process that holds the live streams: greenlets, apart from the threads that answer ordinary requests."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from typing import Any, ClassVar

import psycopg2
from flask import Flask
from gevent.socket import wait_read, wait_write
from gunicorn.workers.ggevent import GeventWorker
from psycopg2 import extensions

from common.auth import KeySource
from order_service.app import create_app as create_order_app
from order_service.config import OrderConfig
from order_service.sockets import LiveSockets


def create_app(config: OrderConfig, keys: KeySource | None = None) -> Flask:
    """The order service's own application, with Socket.IO before it."""
    app = create_order_app(config, keys)
    sockets = app.extensions["sockets"] = LiveSockets(app)
    app.wsgi_app = sockets  # type: ignore[method-assign]
    return app


@dataclass(frozen=True, kw_only=True)
class StreamConfig(OrderConfig):
    worker_class: ClassVar[str] = "order_service.stream.StreamWorker"


class StreamWorker(GeventWorker):
    """Ends its streams at once when it is to stop, instead of waiting for what has no end."""

    def init_process(self) -> None:
        self.cfg.set("keepalive", 0)  # a stream has its connection to itself, and a stop waits for idle ones
        self.cfg.set("worker_connections", most_connections())
        self.worker_connections = self.cfg.worker_connections
        extensions.set_wait_callback(_wait)
        super().init_process()

    def handle_exit(self, sig: int, frame: Any) -> None:
        self.wsgi.extensions["updates"].stop()
        self.wsgi.extensions["sockets"].stop()
        super().handle_exit(sig, frame)


def most_connections() -> int:
    """As many as this process may open files, less what it needs itself."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = min(hard, 65_536) if hard != resource.RLIM_INFINITY else 65_536
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return max(allowed - 200, 100)


def _wait(connection: Any) -> None:
    """Other greenlets run while the database thinks."""
    while (state := connection.poll()) != extensions.POLL_OK:
        if state == extensions.POLL_READ:
            wait_read(connection.fileno())
        elif state == extensions.POLL_WRITE:
            wait_write(connection.fileno())
        else:
            raise psycopg2.OperationalError(f"unexpected state {state}")
