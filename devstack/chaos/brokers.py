"""The two ways of events between services, and how each is made to fail."""

from __future__ import annotations

import os
import secrets
import time
from contextlib import closing, suppress
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

import pika
import psycopg2
from pika.exceptions import AMQPError

from devstack.tcp_proxy import TcpProxy
from devstack.topology import SERVICES

DEFAULT_RABBITMQ = "amqp://guest:guest@127.0.0.1:5672/"
BUSES = ("postgres", "rabbitmq")


class Broker(Protocol):
    @property
    def url(self) -> str | None:
        """What the services are given as EVENT_BUS_URL; None for the store's own database."""

    def restart(self, admin_url: str, away_seconds: float) -> None:
        """What is handed over and not confirmed at this moment is lost; then nobody answers for a while."""

    def close(self) -> None: ...


def open_broker(bus: str) -> Broker:
    """EVENT_BUS_URL names the RabbitMQ server, where it is not the usual one."""
    if bus == "postgres":
        return DatabaseBroker()
    if bus == "rabbitmq":
        return RabbitBroker(os.environ.get("EVENT_BUS_URL") or DEFAULT_RABBITMQ)
    raise ValueError(f"BUS is {bus!r}: it must be one of {', '.join(BUSES)}")


class DatabaseBroker:
    """Events in tables: its restart ends every connection of the bus, with what it has not committed."""

    url = None

    def restart(self, admin_url: str, away_seconds: float) -> None:
        with closing(psycopg2.connect(admin_url, connect_timeout=5)) as connection, connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '3s'")
            with suppress(psycopg2.errors.LockNotAvailable):
                cursor.execute("LOCK TABLE bus.message IN EXCLUSIVE MODE")
            time.sleep(away_seconds)
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE '%-bus' AND pid <> pg_backend_pid()"
            )
            connection.rollback()

    def close(self) -> None:
        """It goes with the database."""


class RabbitBroker:
    """A server that others may use too, so names of our own, and a way to it that we can cut."""

    def __init__(self, url: str) -> None:
        self._server = urlsplit(url)
        self._namespace = f"chaos-{secrets.token_hex(4)}"
        self._proxy = TcpProxy(self._server.hostname or "127.0.0.1", self._server.port or 5672)
        login = self._server.netloc.rpartition("@")[0]
        netloc = f"{login}@127.0.0.1:{self._proxy.port}"
        self.url = urlunsplit(self._server._replace(netloc=netloc, query=f"namespace={self._namespace}"))

    def restart(self, admin_url: str, away_seconds: float) -> None:
        self._proxy.swallow()
        time.sleep(away_seconds / 2)
        self._proxy.cut()
        time.sleep(away_seconds / 2)
        self._proxy.restore()

    def close(self) -> None:
        self._proxy.cut()
        with suppress(AMQPError, OSError):
            remove_names(urlunsplit(self._server), self._namespace)


def remove_names(url: str, namespace: str) -> None:
    """Take a store's queues and exchanges away, with all that is in them. Raises AMQPError or OSError."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    for service in SERVICES:
        for name in (service.name, f"{service.name}.dead"):
            channel.queue_delete(f"{namespace}.{name}")
    for exchange in ("events", "events.dead"):
        channel.exchange_delete(f"{namespace}.{exchange}")
    with suppress(AMQPError):
        connection.close()
