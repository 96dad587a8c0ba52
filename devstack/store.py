"""A store on this machine, from its database to its gateway: what `up` runs, and what tests of whole journeys do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from devstack.ports import is_free, who_has
from devstack.postgres import EmbeddedPostgres
from devstack.prepare import prepare
from devstack.settings import Settings
from devstack.state import Recorded
from devstack.supervisor import Child, Supervisor, wait_until_ready
from devstack.topology import HOST, PROCESSES, SERVICES, Process

READY_SECONDS = 90
TRIES = 3


class StartFailed(Exception):
    """Some process did not become ready."""


class PortTaken(Exception):
    """Somebody else listens where one of our processes should."""


class Store:
    """`say` is told what the user should know. `processes` may leave some out, and their services with them."""

    def __init__(
        self, settings: Settings, say: Callable[[str], None], processes: Sequence[Process] = PROCESSES
    ) -> None:
        self.settings = settings
        self.say = say
        self.processes = processes
        self.postgres = embedded_postgres(settings)
        self.supervisor = Supervisor({}, say)

    @property
    def admin_url(self) -> str:
        return self.postgres.url if self.postgres else str(self.settings.given_database)

    def require_free_ports(self) -> None:
        """Raises PortTaken, which names each port and, where the system tells, who has it."""
        wanted = {self.settings.port(each): each.name for each in self.processes}
        if self.postgres:
            wanted[self.postgres.port] = "postgres"
        if taken := [port for port in wanted if not is_free(port)]:
            raise PortTaken("\n".join(f"port {port} ({wanted[port]}) is taken by {who_has(port)}" for port in taken))

    def open_database(self) -> None:
        """Raises PostgresError or PrepareError."""
        began = time.monotonic()
        if self.postgres:
            self.postgres.start()
            spent = time.monotonic() - began
            self.say(f"Postgres answers at {HOST}:{self.postgres.port}, data in {self.postgres.data} ({spent:.1f} s)")
            began = time.monotonic()
        self.settings.logs.mkdir(parents=True, exist_ok=True)
        packages = {each.package for each in self.processes}
        services = [each for each in SERVICES if each.package in packages]
        prepare(services, self.settings, self.admin_url, self.settings.logs / "prepare.log")
        self.say(f"the database is ready ({time.monotonic() - began:.1f} s)")

    def start_processes(self, own: Mapping[str, Mapping[str, str]] | None = None) -> None:
        """`own` has more of the environment for single processes, by name."""
        children = {each.name: self._child(each, (own or {}).get(each.name, {})) for each in self.processes}
        self.supervisor = Supervisor(children, self.say)
        self.supervisor.start()

    def _child(self, process: Process, own: Mapping[str, str]) -> Child:
        environment = {**self.settings.environment(process, self.admin_url), **own}
        return Child(process, self.settings.port(process), environment, log_file(self.settings, process.name))

    def wait_until_ready(self, meanwhile: Callable[[], None]) -> None:
        """Raises StartFailed."""
        children = self.supervisor.children.values()

        def look() -> None:
            meanwhile()
            for child in children:
                if child.restarts >= TRIES:
                    raise StartFailed(f"{child.process.name} does not start; it says:\n{child.last_words()}")

        late = wait_until_ready(children, READY_SECONDS, look)
        if late:
            raise StartFailed(f"not ready after {READY_SECONDS} s: {', '.join(late)}; see {self.settings.logs}")

    def watch(self) -> bool:
        """Look once at everything, and start again what died; whether anything was started."""
        revived = self.postgres is not None and self._revive(self.postgres)
        return self.supervisor.watch() or revived

    def _revive(self, postgres: EmbeddedPostgres) -> bool:
        if postgres.is_alive:
            return False
        self.say(f"Postgres died; starts again, see {postgres.log}")
        postgres.stop()
        postgres.start()
        return True

    def stop(self) -> None:
        self.supervisor.stop()
        if self.postgres:
            self.postgres.stop()

    def recorded(self) -> list[Recorded]:
        """Our processes as they run now."""
        pids = {name: child.running.pid for name, child in self.supervisor.children.items() if child.running}
        if self.postgres and self.postgres.process:
            pids["postgres"] = self.postgres.process.pid
        alive = {name: pid for name, pid in pids.items() if psutil.pid_exists(pid)}
        return [Recorded.of(name, pid) for name, pid in alive.items()]


def embedded_postgres(settings: Settings) -> EmbeddedPostgres | None:
    return EmbeddedPostgres(settings.data / "postgres", settings.postgres_port) if settings.is_embedded else None


def log_file(settings: Settings, name: str) -> Path:
    return settings.logs / f"{name}.log"


@contextmanager
def opened_database(settings: Settings, say: Callable[[str], None]) -> Iterator[str]:
    """The administrator's URL of the database alone, prepared, while no store is running on it."""
    store = Store(settings, say)
    try:
        store.open_database()
        yield store.admin_url
    finally:
        store.stop()
