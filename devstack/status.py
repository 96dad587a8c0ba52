"""The table of `status`: each process, since when it runs, what memory it has, whether it is well."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

import psutil

from devstack.settings import Settings
from devstack.state import Recorded
from devstack.supervisor import answers
from devstack.topology import BY_NAME

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    pid: int
    seconds: int
    memory: int
    port: int | None
    state: str

    def __str__(self) -> str:
        since = f"{self.seconds // 3600}:{self.seconds // 60 % 60:02}:{self.seconds % 60:02}"
        port = self.port or ""
        return f"{self.name:<16}{self.pid:>8}{since:>9}{self.memory / MIB:>8.0f}{port:>7}  {self.state}"


HEADING = f"{'process':<16}{'pid':>8}{'up':>9}{'MiB':>8}{'port':>7}  state"


def row(recorded: Recorded, settings: Settings) -> Row:
    known = BY_NAME.get(recorded.name)
    port = settings.port(known) if known else None
    process = recorded.find()
    if process is None:
        return Row(recorded.name, recorded.pid, 0, 0, port, "gone")
    state = "runs"
    if known and port:
        state = "ready" if answers(port, known.health_path) else "not ready"
    seconds = int(time.time() - recorded.created)
    alone = recorded.name == "devstack"  # the others are its children
    return Row(recorded.name, recorded.pid, seconds, memory(process, alone=alone), port, state)


def memory(process: psutil.Process, *, alone: bool = False) -> int:
    """Bytes of it and of its children: shared pages by share where the system tells (PSS), else all resident."""
    with suppress(psutil.Error):
        family = [] if alone else process.children(recursive=True)
        return sum(_memory(each) for each in [process, *family])
    return 0


def _memory(process: psutil.Process) -> int:
    full = process.memory_full_info()
    return int(getattr(full, "pss", 0) or full.rss)
