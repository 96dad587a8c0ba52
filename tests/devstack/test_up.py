"""`devstack up` on a real store: ready, watched over, killed, up again, and nothing left behind."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import requests

from devstack.ports import is_free
from devstack.settings import ROOT, Settings
from devstack.topology import HOST, METRICS_PORT, PROCESSES
from tests.support.waiting import eventually

MIB = 2**20
MOST_MEMORY = 1.2 * 1024 * MIB


class Machine:
    """A directory and a range of ports, as on a machine of one's own."""

    def __init__(self, directory: Path, first_port: int) -> None:
        self.settings = Settings(data=directory, first_port=first_port)
        ours = {"DEVSTACK_DIR": str(directory), "DEVSTACK_PORT": str(first_port), "LOG_LEVEL": "WARNING"}
        inherited = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "EVENT_BUS_URL")}
        self.environment = inherited | ours

    def devstack(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "devstack", *arguments],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    def pids(self) -> dict[str, int]:
        noted = json.loads((self.settings.data / "devstack.json").read_text())
        return {each["name"]: each["pid"] for each in noted["processes"]}

    def family(self) -> list[psutil.Process]:
        """Every process that runs for this store."""
        leader = psutil.Process(self.pids()["devstack"])
        return [leader, *leader.children(recursive=True)]

    def health(self) -> int:
        with suppress(requests.ConnectionError):
            return requests.get(f"http://{HOST}:{self.settings.first_port}/health", timeout=10).status_code
        return 0


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    directory = Path(tempfile.mkdtemp(prefix="bookstore-up-"))
    directory.chmod(0o755)
    made = Machine(directory, free_range())
    up = made.devstack("up", "--detach")
    assert up.returncode == 0, up.stdout + up.stderr
    yield made
    made.devstack("down")
    shutil.rmtree(directory)


def free_range() -> int:
    """A first port with which all the others are free too."""
    while True:
        first = random.randrange(10_000, 19_000)
        ports = [each.port for each in PROCESSES]
        if all(is_free(port + first - 8000) for port in (*ports, METRICS_PORT, Settings(data=Path()).postgres_port)):
            return first


def memory(processes: list[psutil.Process]) -> int:
    return sum(getattr(each.memory_full_info(), "pss", 0) or each.memory_info().rss for each in processes)


def test_the_whole_store_answers_and_stays_small(machine: Machine) -> None:
    assert machine.health() == 200
    status = machine.devstack("status")
    assert status.returncode == 0, status.stdout
    assert status.stdout.count("ready") == len(PROCESSES)
    assert memory(machine.family()) < MOST_MEMORY


def test_the_main_job_ends(machine: Machine) -> None:
    demo = machine.devstack("demo")
    assert demo.returncode == 0, demo.stdout + demo.stderr


def test_it_runs_once(machine: Machine) -> None:
    again = machine.devstack("up")
    assert again.returncode == 1
    assert "running already" in again.stdout


def test_a_taken_port_is_told_before_anything_starts(machine: Machine, tmp_path: Path) -> None:
    other = Machine(tmp_path, machine.settings.first_port)
    done = other.devstack("up")
    assert done.returncode == 1
    assert f"port {machine.settings.first_port} (gateway) is taken by process" in done.stdout
    assert not (tmp_path / "postgres" / "data").exists()


def test_a_killed_process_comes_back(machine: Machine) -> None:
    killed = machine.pids()["order-worker"]
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: machine.pids().get("order-worker", killed) != killed, within=20)
    eventually(lambda: machine.health() == 200, within=20)
    assert "order-worker died (killed by SIGKILL)" in (machine.settings.logs / "devstack.log").read_text()


def test_killing_the_supervisor_leaves_nothing_and_it_starts_again(machine: Machine) -> None:
    family = machine.family()
    os.kill(machine.pids()["devstack"], signal.SIGKILL)
    _, alive = psutil.wait_procs(family, timeout=35)
    assert not alive
    up = machine.devstack("up", "--detach")
    assert up.returncode == 0, up.stdout
    assert machine.health() == 200


def test_down_leaves_nothing(machine: Machine) -> None:
    family = machine.family()
    assert machine.devstack("down").returncode == 0
    _, alive = psutil.wait_procs(family, timeout=1)
    assert not alive
    assert machine.health() == 0
    assert machine.devstack("status").returncode == 1
