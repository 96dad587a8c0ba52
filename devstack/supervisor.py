"""Keeps processes running: starts them, starts again what crashed, and ends them all in order."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from devstack.process import die_with_parent, wait_until
from devstack.settings import ROOT
from devstack.topology import HOST, Process

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0
STEADY_SECONDS = 20.0
GRACE_SECONDS = 24.0
PROBE_SECONDS = 1.0


@dataclass
class Child:
    """One process of the topology, whichever incarnation it is in."""

    process: Process
    port: int
    environment: Mapping[str, str]
    log: Path
    running: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_again_at: float | None = None
    pause: float = FIRST_PAUSE_SECONDS
    restarts: int = 0

    def start(self, extra: Mapping[str, str] | None = None, *, through: Sequence[str] = ()) -> None:
        """`extra` adds to its environment; `through` names a module, with its arguments, that runs it."""
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                [sys.executable, "-m", *through, self.process.package, self.process.command],
                env={**self.environment, **(extra or {})},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - one system call, no lock
            )
        self.started_at = time.monotonic()
        self.start_again_at = None

    @property
    def is_alive(self) -> bool:
        return self.running is not None and self.running.poll() is None

    def is_ready(self) -> bool:
        return self.is_alive and answers(self.port, self.process.health_path)

    def signal(self, number: int) -> None:
        """To the whole group: a web process has workers of its own."""
        if self.running is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.running.pid, number)

    def terminate(self) -> None:
        """To the first process alone, which ends its workers when they have finished."""
        if self.is_alive and self.running is not None:
            self.running.terminate()

    def last_words(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def postpone(self) -> float:
        """Plan the next start after a crash; returns in how many seconds."""
        if time.monotonic() - self.started_at > STEADY_SECONDS:
            self.pause = FIRST_PAUSE_SECONDS
        pause, self.pause = self.pause, min(self.pause * 2, LONGEST_PAUSE_SECONDS)
        self.start_again_at = time.monotonic() + pause
        self.restarts += 1
        return pause


@dataclass
class Supervisor:
    """`say` is told what the user should know. Used from one thread, the one that lives as long as the children."""

    children: Mapping[str, Child]
    say: Callable[[str], None]

    def start(self) -> None:
        for child in self.children.values():
            child.start()

    def watch(self) -> bool:
        """Look once at every process: note who died, start who is due; whether any was started."""
        now = time.monotonic()
        due = [each for each in self.children.values() if each.start_again_at and now >= each.start_again_at]
        for child in due:
            child.start()
            self.say(f"{child.process.name} was started again")
        for child in self.children.values():
            if child.start_again_at is None and not child.is_alive:
                self._mourn(child)
        return bool(due)

    def _mourn(self, child: Child) -> None:
        child.signal(signal.SIGKILL)  # its own children, if it left any
        status = child.running.returncode if child.running else 0
        pause = child.postpone()
        self.say(f"{child.process.name} died ({_describe(status)}); starts again in {pause:g} s, see {child.log}")

    def not_ready(self) -> list[str]:
        return [name for name, child in self.children.items() if not child.is_ready()]

    def stop(self) -> None:
        """The gateway first, so that nothing new comes in; then all others; what will not end is killed."""
        deadline = time.monotonic() + GRACE_SECONDS
        everyone = list(self.children.values())
        for wave in ([each for each in everyone if each.process.package == "gateway"], everyone):
            for child in wave:
                child.start_again_at = None
                child.terminate()
            wait_until(lambda wave=wave: not any(each.is_alive for each in wave), deadline - time.monotonic())  # type: ignore[misc]
        for child in everyone:
            child.signal(signal.SIGKILL)
            if child.running is not None:
                child.running.wait()


def answers(port: int, path: str) -> bool:
    """Whether GET `path` answers 200."""
    connection = http.client.HTTPConnection(HOST, port, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait_until_ready(children: Iterable[Child], seconds: float, meanwhile: Callable[[], None]) -> list[str]:
    """The names of those that were not ready in time; `meanwhile` is called between looks."""
    waiting = list(children)

    def all_ready() -> bool:
        meanwhile()
        waiting[:] = [child for child in waiting if not child.is_ready()]
        return not waiting

    wait_until(all_ready, seconds)
    return [child.process.name for child in waiting]


def _describe(status: int) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"
