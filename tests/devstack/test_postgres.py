"""The embedded Postgres: whom it runs as, what it keeps, and that it comes back whatever was done to it."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg2
import pytest

from devstack import binaries
from devstack.account import Account, unprivileged
from devstack.binaries import PostgresError, server_binaries, shared_directory
from devstack.ports import free_port
from devstack.postgres import EmbeddedPostgres, temporary_postgres, usable_place
from tests.support.waiting import eventually


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that any user may enter, unlike pytest's own."""
    made = Path(tempfile.mkdtemp(prefix="bookstore-test-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def server(place: Path) -> Iterator[EmbeddedPostgres]:
    made = EmbeddedPostgres(place, free_port(), durable=False)
    yield made
    made.stop()


@pytest.fixture
def durable_server(place: Path) -> Iterator[EmbeddedPostgres]:
    made = EmbeddedPostgres(place, free_port())
    yield made
    made.stop()


def execute(server: EmbeddedPostgres, statement: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(server.url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def test_an_ordinary_user_runs_it(server: EmbeddedPostgres) -> None:
    server.start()
    assert server.process
    assert psutil.Process(server.process.pid).uids().effective == unprivileged().uid != 0
    assert server.data.stat().st_mode & 0o777 == 0o700


def test_it_listens_on_the_loopback_address_and_asks_for_the_password(server: EmbeddedPostgres) -> None:
    server.start()
    assert execute(server, "SHOW listen_addresses") == [("127.0.0.1",)]
    with pytest.raises(psycopg2.OperationalError, match="password"):
        psycopg2.connect(host="127.0.0.1", port=server.port, user="postgres", password="guess", dbname="postgres")


def test_nothing_gives_up_durability_unless_told_to(durable_server: EmbeddedPostgres) -> None:
    durable_server.start()
    asked = "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit')"
    assert sorted(execute(durable_server, asked)) == [("fsync", "on"), ("synchronous_commit", "on")]


def test_data_stay_between_runs(server: EmbeddedPostgres) -> None:
    server.start()
    execute(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()
    server.start()
    assert execute(server, "SELECT answer FROM kept") == [(42,)]


def test_it_starts_after_everything_was_killed(durable_server: EmbeddedPostgres) -> None:
    server = durable_server
    server.start()
    execute(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert server.process
    family = [*psutil.Process(server.process.pid).children(), psutil.Process(server.process.pid)]
    for process in family:
        with suppress(psutil.NoSuchProcess):  # some of a server's processes come and go
            process.kill()
    server.stop()
    assert (server.data / "postmaster.pid").exists()
    server.start()
    assert execute(server, "SELECT answer FROM kept") == [(42,)]


def test_a_pid_file_that_names_a_stranger_is_no_obstacle(server: EmbeddedPostgres) -> None:
    server.start()
    assert server.process
    server.process.kill()
    server.stop()
    lines = (server.data / "postmaster.pid").read_text().splitlines()
    (server.data / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    server.start()
    assert execute(server, "SELECT 1") == [(1,)]


def test_a_server_that_outlived_its_starter_is_ended(server: EmbeddedPostgres) -> None:
    server.start()
    outlived, server.process = server.process, None
    server.stop()  # lets go of the place only
    assert outlived
    assert outlived.poll() is None
    server.start()
    assert outlived.wait(10) is not None
    assert execute(server, "SELECT 1") == [(1,)]


def test_two_cannot_share_a_place(server: EmbeddedPostgres) -> None:
    server.start()
    with pytest.raises(PostgresError, match="in use"):
        EmbeddedPostgres(server.asked_for, free_port()).start()


def test_a_failure_is_told_in_the_servers_own_words(server: EmbeddedPostgres) -> None:
    server.start()
    server.stop()
    (server.data / "postgresql.conf").write_text("no_such_setting = on\n")
    with pytest.raises(PostgresError, match="no_such_setting"):
        server.start()


def test_a_temporary_server_leaves_nothing() -> None:
    with temporary_postgres() as server:
        pid = server.process.pid if server.process else 0
        assert execute(server, "SELECT 1") == [(1,)]
    assert not server.place.exists()
    assert not psutil.pid_exists(pid)


def test_what_its_user_cannot_read_is_copied_once(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a virtual environment in a home that only its owner may enter."""
    installed = binaries._installed()
    can_run = Account.can_run
    monkeypatch.setattr(
        Account, "can_run", lambda self, command: not command[0].startswith(str(installed)) and can_run(self, command)
    )
    monkeypatch.setattr(binaries, "SHARED_PLACES", (place,))
    copied = server_binaries(unprivileged())
    assert copied.is_relative_to(place)
    before = copied.stat().st_ino
    assert server_binaries(unprivileged()).stat().st_ino == before
    server = EmbeddedPostgres(place / "data", free_port(), durable=False)
    server.start()
    assert execute(server, "SELECT 1") == [(1,)]
    server.stop()


def test_a_place_that_its_user_cannot_enter_gets_a_stand_in(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared, home = place / "shared", place / "home"
    shared.mkdir()
    home.mkdir(mode=0o700)
    monkeypatch.setattr(binaries, "SHARED_PLACES", (shared,))
    monkeypatch.setattr(Account, "can_enter", lambda _self, directory: not directory.is_relative_to(home))
    found = usable_place(home / "store", unprivileged())
    assert found.is_relative_to(shared)
    assert str(found) in (home / "store" / "MOVED.txt").read_text()
    assert usable_place(home / "store", unprivileged()) == found
    assert usable_place(home / "another", unprivileged()) != found


def test_a_directory_that_others_may_write_is_not_trusted(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else may have put a server of their own there."""
    monkeypatch.setattr(binaries, "SHARED_PLACES", (place,))
    shared_directory().chmod(0o777)
    with pytest.raises(PostgresError, match="not a directory of ours alone"):
        shared_directory()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere the next start ends what was left")
def test_it_ends_with_its_starter_even_by_kill_9(place: Path) -> None:
    script = (
        "import sys, pathlib; from devstack.postgres import EmbeddedPostgres\n"
        "from devstack.ports import free_port\n"
        "server = EmbeddedPostgres(pathlib.Path(sys.argv[1]), free_port(), durable=False)\n"
        "server.start(); print(server.process.pid, flush=True); sys.stdin.read()\n"
    )
    starter = psutil.Popen(
        [sys.executable, "-c", script, str(place)],
        stdin=-1,
        stdout=-1,
        text=True,
    )
    pid = int(starter.stdout.readline())
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    eventually(lambda: not psutil.pid_exists(pid))
