"""Real processes of the store, wired as devstack wires them, on free ports, for the tests of whole journeys."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from devstack.accounts import Account
from devstack.chaos.brokers import remove_names
from devstack.ports import free_port
from devstack.process import wait_until
from devstack.settings import NOT_INHERITED, ROOT, Settings
from devstack.store import StartFailed, Store
from devstack.supervisor import Child, wait_until_ready
from devstack.topology import BY_NAME
from tests.support.database import fresh_database

READY_SECONDS = 60
COMMAND_SECONDS = 60
SHOWN_LINES = 30
LASTING = {"ACCESS_TOKEN_SECONDS": "3600"}
"""Who signed in when the tests began is signed in when they end, however busy the machine is."""


class Stack:
    """`admin_url` names a database that is this stack's alone; its events go to `bus_url`, or into that database.

    `environment` is for all processes, `own` for single ones, by name. Nothing is started again by itself.
    """

    def __init__(
        self,
        admin_url: str,
        bus_url: str | None = None,
        *,
        names: Sequence[str] = tuple(BY_NAME),
        environment: Mapping[str, str] | None = None,
        own: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="bookstore-stack-"))
        suffix = urlsplit(admin_url).path.rpartition("_")[2]
        self._bus_url, self._namespace = bus_url, f"stack-{suffix}"
        self.settings = Settings(
            data=self.directory,
            given_database=admin_url,
            given_bus=_with_namespace(bus_url, self._namespace) if bus_url else None,
            role_suffix=f"_{suffix}",
            ports={name: free_port() for name in (*BY_NAME, "metrics")},
            inherited=_inherited() | LASTING | dict(environment or {}),
        )
        self._own = own or {}
        self._store = Store(self.settings, lambda _: None, [BY_NAME[name] for name in names])

    def __enter__(self) -> Self:
        try:
            self._store.open_database()
            self._store.start_processes(self._own)
            self.require_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._store.stop()
        if self._bus_url:
            _remove_queues(self._bus_url, self._namespace)
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def gateway(self) -> str:
        return self.settings.address("gateway")

    def address(self, name: str) -> str:
        """The base URL of one process."""
        return self.settings.address(name)

    @property
    def accounts(self) -> dict[str, Account]:
        """`admin`, and the customers `alice` and `bob`, with their passwords."""
        return self.settings.accounts

    def database_url(self, service: str) -> str:
        """As that service's own role."""
        return self._child(f"{service}-worker").environment["DATABASE_URL"]

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send the whole process group a signal, and wait until its first process has ended."""
        child = self._child(name)
        child.signal(number)
        if child.running is not None:
            child.running.wait(READY_SECONDS)

    def start(self, name: str, **environment: str) -> None:
        """Start what was killed or crashed; ready when it returns."""
        self._child(name).start(environment)
        self.require_ready([name])

    def restart(self, name: str, **environment: str) -> None:
        self.kill(name, signal.SIGTERM)
        self.start(name, **environment)

    @contextmanager
    def another(self, name: str, **environment: str) -> Iterator[str]:
        """One more instance of a process that runs already; its base URL."""
        first, port = self._child(name), free_port()
        log = self.directory / f"{name}-{port}.log"
        child = Child(first.process, port, {**first.environment, "PORT": str(port), **environment}, log)
        child.start()
        try:
            if wait_until_ready([child], READY_SECONDS, lambda: None):
                raise StartFailed(f"another {name} is not ready:\n{child.last_words()}")
            yield f"http://127.0.0.1:{port}"
        finally:
            child.signal(signal.SIGKILL)
            if child.running is not None:
                child.running.wait()

    def is_alive(self, name: str) -> bool:
        return self._child(name).is_alive

    def exit_status(self, name: str, *, within: float = 30.0) -> int | None:
        """With what a process ended by itself; None when it has not."""
        child = self._child(name)
        wait_until(lambda: not child.is_alive, within)
        return child.running.poll() if child.running else None

    def command(self, service: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of a service's own commands, as its operator would."""
        environment = self._child(f"{service}-worker").environment
        return subprocess.run(
            [sys.executable, "-m", f"{service}_service", *arguments],
            env=dict(environment),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def require_ready(self, names: Sequence[str] | None = None) -> None:
        """Raises StartFailed, with the last that the late ones said."""
        children = [self._child(name) for name in names or self._store.supervisor.children]
        if late := wait_until_ready(children, READY_SECONDS, lambda: None):
            raise StartFailed("\n".join(f"{name} is not ready:\n{self.log(name)}" for name in late))

    def log(self, name: str, lines: int = SHOWN_LINES) -> str:
        """The last that a process said."""
        return self._child(name).last_words(lines)

    def logs(self) -> str:
        """The last that each of them said: for a test's failure."""
        return "\n\n".join(f"{name}:\n{self.log(name)}" for name in self._store.supervisor.children)

    def _child(self, name: str) -> Child:
        return self._store.supervisor.children[name]


@contextmanager
def fresh_stack(
    postgres_url: str,
    bus_url: str | None = None,
    *,
    names: Sequence[str] = tuple(BY_NAME),
    environment: Mapping[str, str] | None = None,
    own: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[Stack]:
    """A stack on a new database of the server, which is dropped afterwards."""
    with (
        fresh_database(postgres_url) as admin_url,
        Stack(admin_url, bus_url, names=names, environment=environment, own=own) as stack,
    ):
        yield stack


def _inherited() -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if name not in (*NOT_INHERITED, "FAIL_POINT")}
    return ours | {"RATE_LIMITS_ENABLED": "false", "LOG_LEVEL": "INFO"}


def _with_namespace(bus_url: str, namespace: str) -> str:
    if not bus_url.startswith("amqp"):
        return bus_url
    return f"{bus_url}{'&' if '?' in bus_url else '?'}namespace={namespace}"


def _remove_queues(bus_url: str, namespace: str) -> None:
    if not bus_url.startswith("amqp"):
        return
    remove_names(bus_url, namespace)
