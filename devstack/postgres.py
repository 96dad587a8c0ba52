"""A Postgres of the store's own: the real server, on the loopback address, as an ordinary user even under root."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psutil

from devstack.account import Account, unprivileged
from devstack.binaries import PostgresError, server_binaries, shared_directory
from devstack.files import write_private
from devstack.ports import free_port
from devstack.process import die_with_parent, wait_until
from devstack.settings import DATABASE
from devstack.topology import HOST

SUPERUSER = "postgres"
START_SECONDS = 60  # crash recovery counts too
STOP_SECONDS = 15

# Small, since it shares a laptop with the whole store; nothing here gives up durability.
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "max_connections": "120",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "effective_cache_size": "512MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "max_wal_size": "512MB",
    "io_method": "sync",
    "max_parallel_workers_per_gather": "0",
    "random_page_cost": "1.1",
    "jit": "off",
    "logging_collector": "off",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %u ",
}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "400"}
"""Of tests, which run several stores side by side on one server."""


class EmbeddedPostgres:
    """A server whose data stay in `place`, or where its user could not enter that, in `place`'s stand-in.

    `durable=False` is for data that nobody will miss, as in tests: it waits for no disk.
    """

    def __init__(self, place: Path, port: int, *, durable: bool = True) -> None:
        self.account: Account = unprivileged()
        self.asked_for = place.resolve()
        self.place = usable_place(self.asked_for, self.account)
        self.port = port
        self.data = self.place / "data"
        self.log = self.place / "postgres.log"
        self._settings = SETTINGS if durable else SETTINGS | NOT_DURABLE
        self._durable = durable
        self._lock: IO[str] | None = None
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The superuser's URL of the store's database."""
        return self._url(DATABASE)

    def start(self) -> None:
        """Ready when it returns. Raises PostgresError, with the server's own words where it has any."""
        self._lock = _lock(self.place / "lock")
        binaries = server_binaries(self.account)
        if not self.data.is_dir():
            self._initialise(binaries)
        self._clear_leftovers()
        self._launch(binaries)
        try:
            self._wait_until_ready()
            self._create_database()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it: first without waiting for clients, then without a checkpoint; the data are safe in any case."""
        if self.process is not None:
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
                self.process.send_signal(number)
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(STOP_SECONDS)
                    break
            self.process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _url(self, database: str) -> str:
        return f"postgresql://{SUPERUSER}:{quote(self._password)}@{HOST}:{self.port}/{database}"

    @property
    def _password(self) -> str:
        return (self.place / "password").read_text(encoding="ascii")

    def _initialise(self, binaries: Path) -> None:
        """Make the data directory, whole or not at all."""
        fresh = self.place / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        self.account.take(fresh)
        password = secrets.token_urlsafe(24)
        write_private(self.place / "password", password)
        with tempfile.NamedTemporaryFile("w", encoding="ascii") as password_file:
            password_file.write(password)
            password_file.flush()
            self.account.take(Path(password_file.name))
            self._run_initdb(binaries, fresh, password_file.name)
        fresh.rename(self.data)

    def _run_initdb(self, binaries: Path, data: Path, password_file: str) -> None:
        command = [str(binaries / "initdb"), "-D", str(data), "-U", SUPERUSER, f"--pwfile={password_file}"]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]
        command += ["--no-instructions", *([] if self._durable else ["--no-sync"])]
        done = subprocess.run(
            command, env=_bare_environment(), capture_output=True, text=True, check=False, **self.account.popen_options
        )
        if done.returncode:
            raise PostgresError(f"initdb failed:\n{done.stdout}{done.stderr}")

    def _clear_leftovers(self) -> None:
        """End a server that outlived whoever started it; forget one that is dead but left its pid file.

        Postgres tells the two apart by the pid alone, which may belong to another process by now.
        """
        pid_file = self.data / "postmaster.pid"
        with suppress(FileNotFoundError, ValueError, IndexError, psutil.NoSuchProcess):
            found = psutil.Process(int(pid_file.read_text().splitlines()[0]))
            if _serves(found, self.data):
                found.send_signal(signal.SIGINT)
                found.wait(START_SECONDS)
        pid_file.unlink(missing_ok=True)
        wait_until(lambda: not _anybody_in(self.data), START_SECONDS)

    def _launch(self, binaries: Path) -> None:
        command = [str(binaries / "postgres"), "-D", str(self.data), "-p", str(self.port)]
        command += [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                env=_bare_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGINT),  # noqa: PLW1509 - one system call, no lock
                **self.account.popen_options,
            )

    def _wait_until_ready(self) -> None:
        settled = wait_until(lambda: self._is_ready() or not self.is_alive, START_SECONDS)
        if not settled or not self.is_alive:
            raise PostgresError(f"Postgres did not start; {self.log} says:\n{_tail(self.log)}")

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def _is_ready(self) -> bool:
        """The server keeps its state in the last line of its pid file."""
        with suppress(FileNotFoundError):
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            return len(lines) >= 8 and lines[7].strip() == "ready"
        return False

    def _create_database(self) -> None:
        import psycopg2  # noqa: PLC0415 - the rest of this file needs no client

        connection = psycopg2.connect(self._url("postgres"), connect_timeout=5)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
            if not cursor.fetchone():
                cursor.execute(f"CREATE DATABASE {DATABASE}")
        connection.close()


@contextmanager
def temporary_postgres() -> Iterator[EmbeddedPostgres]:
    """A server for a test run, on a free port; all of it is gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="bookstore-postgres-"))
    directory.chmod(0o755)
    server = EmbeddedPostgres(directory, free_port(), durable=False)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.place, ignore_errors=True)
        shutil.rmtree(directory, ignore_errors=True)


def usable_place(place: Path, account: Account) -> Path:
    """`place` itself, or a stand-in outside of any home where `account` may not enter it.

    The stand-in follows from `place`'s path, so that the next start finds it; a note in `place` names it.
    """
    place.mkdir(parents=True, exist_ok=True)
    if account.can_enter(place):
        return place
    digest = hashlib.sha256(os.fsencode(place)).hexdigest()[:12]
    stand_in = shared_directory() / f"data-{digest}"
    stand_in.mkdir(mode=0o755, exist_ok=True)
    stand_in.chmod(0o755)
    (place / "MOVED.txt").write_text(f"The server's user may not enter here: the data are in {stand_in}\n")
    return stand_in


def _lock(path: Path) -> IO[str]:
    """Held while a server of ours uses the place; the system lets go of it when we die."""
    lock = path.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise PostgresError(f"{path.parent} is in use by another running store") from None
    return lock


def _serves(process: psutil.Process, data: Path) -> bool:
    try:
        return process.name() == "postgres" and Path(process.cwd()) == data.resolve()
    except psutil.AccessDenied:
        return False


def _anybody_in(data: Path) -> bool:
    """Whether any process of a server on `data` is alive: its children end by themselves, soon after it."""
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):
            if _serves(process, data):
                return True
    return False


def _bare_environment() -> dict[str, str]:
    """Nothing of ours: PGDATA, PGPORT and their like would change what the server does."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def _tail(path: Path, lines: int = 15) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) or "(nothing)"
