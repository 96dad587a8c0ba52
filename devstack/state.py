"""What a running store leaves on disk about itself: who runs it, and which processes are its own."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

import psutil

from devstack.files import write_private
from devstack.settings import Settings

GONE_SECONDS = 10
REMEMBERED = ("first_port", "given_database", "given_bus")


class AlreadyRunning(Exception):
    """Another devstack holds this store."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A process as it was noted down. Its age tells it from a later one with the same pid."""

    name: str
    pid: int
    created: float

    @classmethod
    def of(cls, name: str, pid: int) -> Recorded:
        return cls(name, pid, psutil.Process(pid).create_time())

    def find(self) -> psutil.Process | None:
        """The process, if it is still there."""
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.created) < 1 and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None


class State:
    """`devstack.json` and `lock` in the store's directory."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "devstack.json"
        self._lock_file = directory / "lock"
        self._lock: IO[str] | None = None

    def take(self) -> None:
        """Become the one who runs this store. Raises AlreadyRunning."""
        self._lock_file.parent.mkdir(parents=True, exist_ok=True)
        lock = self._lock_file.open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise AlreadyRunning from None
        self._lock = lock

    def write(self, settings: Settings, processes: Iterable[Recorded], *, ready: bool) -> None:
        noted = {
            "ready": ready,
            "settings": {name: getattr(settings, name) for name in REMEMBERED},
            "processes": [asdict(each) for each in processes],
        }
        write_private(self._file, json.dumps(noted, indent=2))

    def forget(self) -> None:
        self._file.unlink(missing_ok=True)

    @property
    def is_ready(self) -> bool:
        return bool(self._read().get("ready"))

    def as_running(self, settings: Settings) -> Settings:
        """`settings` as the running store has them, whatever this command's own environment says."""
        return replace(settings, **self._read().get("settings", {}))

    def recorded(self) -> list[Recorded]:
        return [Recorded(**each) for each in self._read().get("processes", [])]

    def supervisor(self) -> psutil.Process | None:
        """Whoever runs this store now."""
        return next((found for each in self.recorded() if each.name == "devstack" and (found := each.find())), None)

    def is_run_by(self, pid: int) -> bool:
        return any(each.name == "devstack" and each.pid == pid for each in self.recorded())

    def end_leftovers(self) -> list[str]:
        """End what a devstack that was killed has left behind; returns the names. Only for the lock's holder."""
        left = [(each.name, process) for each in self.recorded() if (process := each.find())]
        for _, process in left:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        _, stubborn = psutil.wait_procs([process for _, process in left], timeout=GONE_SECONDS)
        for process in stubborn:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(stubborn, timeout=GONE_SECONDS)
        return [name for name, _ in left]

    def _read(self) -> dict[str, Any]:
        with suppress(FileNotFoundError, json.JSONDecodeError):
            read: dict[str, Any] = json.loads(self._file.read_text(encoding="utf-8"))
            return read
        return {}
