"""The supervisor: what crashes starts again, what is told to end ends, and nothing outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from devstack import supervisor as module
from devstack.ports import free_port
from devstack.supervisor import Child, Supervisor, wait_until_ready
from devstack.topology import Process
from tests.support.waiting import eventually

Make = Callable[..., Supervisor]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervise(tmp_path: Path, said: list[str]) -> Iterator[Make]:
    made: list[Supervisor] = []

    def make(command: str = "serve", **environment: str) -> Supervisor:
        port = free_port()
        process = Process("toy", "tests.devstack.toy", command, port)
        child = Child(process, port, {**os.environ, "PORT": str(port), **environment}, tmp_path / "toy.log")
        made.append(Supervisor({"toy": child}, said.append))
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.stop()


def ready(supervisor: Supervisor) -> Child:
    child = supervisor.children["toy"]
    assert not wait_until_ready([child], 20, lambda: None)
    return child


def test_what_was_killed_starts_again(supervise: Make, said: list[str]) -> None:
    supervisor = supervise()
    child = ready(supervisor)
    child.signal(signal.SIGKILL)
    eventually(lambda: not child.is_alive)
    eventually(supervisor.watch)
    ready(supervisor)
    assert child.restarts == 1
    assert "toy died (killed by SIGKILL)" in said[0]


def test_what_crashes_again_and_again_is_started_ever_more_rarely(
    supervise: Make, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_PAUSE_SECONDS", 1.0)
    supervisor = supervise("crash")
    child = supervisor.children["toy"]

    def pauses() -> list[str]:
        return [text.partition("again in ")[2].partition(",")[0] for text in said if " died " in text]

    def died_three_times() -> bool:
        supervisor.watch()
        return len(pauses()) == 3

    eventually(died_three_times, within=20)
    assert pauses() == ["0.5 s", "1 s", "1 s"]
    assert "no reason to live" in child.last_words()


def test_stop_ends_it(supervise: Make) -> None:
    supervisor = supervise()
    child = ready(supervisor)
    supervisor.stop()
    assert child.running
    assert child.running.returncode == -signal.SIGTERM
    assert not supervisor.watch()


def test_what_will_not_end_is_killed(supervise: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.3)
    supervisor = supervise(STUBBORN="yes")
    child = ready(supervisor)
    supervisor.stop()
    assert child.running
    assert child.running.returncode == -signal.SIGKILL


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere the next `up` ends what was left")
def test_nothing_outlives_a_parent_that_was_killed(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys\n"
        "from devstack.supervisor import Child\n"
        "from devstack.topology import Process\n"
        "from devstack.ports import free_port\n"
        "port = free_port()\n"
        "child = Child(Process('toy', 'tests.devstack.toy', 'serve', port), port,\n"
        "              {**os.environ, 'PORT': str(port)}, pathlib.Path(sys.argv[1]))\n"
        "child.start(); print(child.running.pid, flush=True); sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "toy.log")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    eventually(lambda: not psutil.pid_exists(pid))
