"""What the processes say: each into a file of its own, and all of them together on the terminal, with a prefix."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

COLOURS = (36, 32, 33, 35, 34, 96, 92, 93, 95, 94)
LAST_BYTES = 4000


@dataclass
class Tail:
    """Reads what is added to a file, whole lines only."""

    path: Path
    position: int = 0

    def lines(self) -> Iterator[str]:
        if not self.path.exists():
            return
        if self.path.stat().st_size < self.position:
            self.position = 0  # begun anew
        with self.path.open("rb") as file:
            file.seek(self.position)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self.position += len(line)
                yield line.decode(errors="replace").rstrip()

    def skip_to_end(self, keep_bytes: int = 0) -> None:
        """Leave out what is there, but for whole lines among the last so many bytes."""
        size = self.path.stat().st_size if self.path.exists() else 0
        self.position = max(0, size - keep_bytes)
        if self.position:
            with self.path.open("rb") as file:
                file.seek(self.position)
                self.position += len(file.readline())


class Terminal:
    """Prints lines under the name of whoever said them, in its colour."""

    def __init__(self, names: Iterable[str]) -> None:
        self._coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        names = list(names)
        self._width = max(map(len, names), default=0)
        self._colours = dict(zip(names, itertools.cycle(COLOURS), strict=False))

    def line(self, name: str, text: str) -> None:
        prefix = f"{name:<{self._width}} |"
        if self._coloured:
            prefix = f"\x1b[{self._colours.get(name, 37)}m{prefix}\x1b[0m"
        print(prefix, text)

    def flush(self) -> None:
        sys.stdout.flush()


class LogFiles:
    """The files of a store's processes, followed together."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._tails = {name: Tail(path) for name, path in paths.items()}
        self._terminal = Terminal(self._tails)

    def begin_anew(self) -> None:
        """Put what the last run said aside, as name.log.1."""
        for tail in self._tails.values():
            tail.path.parent.mkdir(parents=True, exist_ok=True)
            if tail.path.exists():
                tail.path.replace(tail.path.with_suffix(".log.1"))

    def skip_to_end(self) -> None:
        for tail in self._tails.values():
            tail.skip_to_end(LAST_BYTES)

    def show_new(self) -> None:
        for name, tail in self._tails.items():
            for line in tail.lines():
                self._terminal.line(name, line)
        self._terminal.flush()
