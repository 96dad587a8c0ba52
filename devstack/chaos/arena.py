"""A whole store for one storm: its own database server, ports, folder and names at the broker, gone afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import psycopg2

from devstack.chaos.brokers import Broker, open_broker
from devstack.ports import free_port
from devstack.process import wait_until
from devstack.settings import NOT_INHERITED, Settings
from devstack.store import Store
from devstack.supervisor import Child, wait_until_ready
from devstack.topology import BY_NAME, PROCESSES

READY_SECONDS = 90
ENVIRONMENT = {
    "RATE_LIMITS_ENABLED": "false",
    "LOG_LEVEL": "WARNING",
    "LOG_FORMAT": "console",
    "ORDER_PAYMENT_TTL": "86400",  # else unpaid orders expire while the ledger of a long storm is drawn up
}


class Arena:
    """`bus` is `postgres` or `rabbitmq`. Used from one thread, the one that lives as long as the processes."""

    def __init__(self, bus: str, environment: Mapping[str, str] | None = None) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="bookstore-chaos-"))
        self.directory.chmod(0o755)
        self.broker: Broker = open_broker(bus)
        inherited = {name: value for name, value in os.environ.items() if name not in (*NOT_INHERITED, "FAIL_POINT")}
        self.settings = Settings(
            data=self.directory,
            given_bus=self.broker.url,
            ports={name: free_port() for name in (*BY_NAME, "metrics", "postgres")},
            inherited={**inherited, **ENVIRONMENT, **(environment or {})},
        )
        self.store = Store(self.settings, lambda _: None, PROCESSES)

    def __enter__(self) -> Self:
        try:
            self.store.open_database()
            self.store.start_processes()
            self.require_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.store.stop()
        self.broker.close()
        if self.store.postgres:
            shutil.rmtree(self.store.postgres.place, ignore_errors=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def gateway(self) -> str:
        return self.settings.address("gateway")

    def query(self, statement: str, *values: Any) -> list[Any]:
        """As the database's administrator, who sees all schemas; its rows, or nothing for what has none."""
        connection = psycopg2.connect(self.store.admin_url, connect_timeout=5)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement, values or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def kill(self, name: str) -> None:
        child = self._child(name)
        child.signal(signal.SIGKILL)
        if child.running is not None:
            child.running.wait(READY_SECONDS)

    def start(self, name: str, *, through: tuple[str, ...] = (), **environment: str) -> None:
        """Ready or not when it returns."""
        self._child(name).start(environment, through=through)

    def restart(self, name: str, *, through: tuple[str, ...] = (), **environment: str) -> None:
        """By kill -9, as everything here; ready when it returns."""
        self.kill(name)
        self.start(name, through=through, **environment)
        self.require_ready(name)

    def crash_database(self) -> None:
        """End it without a checkpoint, as after a crash, and start it again."""
        postgres = self.store.postgres
        if postgres is None or postgres.process is None:
            return
        postgres.process.send_signal(signal.SIGQUIT)
        postgres.process.wait(READY_SECONDS)
        postgres.stop()
        postgres.start()

    def revive(self) -> list[str]:
        """Start what has ended by itself; returns who that was."""
        dead = [name for name, child in self.store.supervisor.children.items() if not child.is_alive]
        for name in dead:
            self.kill(name)  # its own children, if it left any
            self.start(name)
        return dead

    def has_ended(self, name: str, *, within: float) -> bool:
        return wait_until(lambda: not self._child(name).is_alive, within)

    def require_ready(self, *names: str) -> None:
        children = [self._child(name) for name in names or self.store.supervisor.children]
        if late := wait_until_ready(children, READY_SECONDS, lambda: None):
            said = "\n".join(f"{name}:\n{self._child(name).last_words()}" for name in late)
            raise TimeoutError(f"not ready after {READY_SECONDS} s: {said}")

    def last_words(self) -> str:
        """The last that each process said."""
        return "\n\n".join(f"{name}:\n{self._child(name).last_words()}" for name in self.store.supervisor.children)

    def _child(self, name: str) -> Child:
        return self.store.supervisor.children[name]
