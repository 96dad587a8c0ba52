"""What the processes say: each into a file of its own, and all of them together on the terminal, with a prefix."""

from __future__ import annotations

import itertools
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

COLOURS = (36, 32, 33, 35, 34, 96, 92, 93, 95, 94)
LAST_BYTES = 4000
LEVELS = {"debug": 0, "info": 1, "warning": 2, "error": 3, "critical": 4}
_TONES = {"[warning]": 33, "[error]": 31, "[critical]": 31}
_LEVEL = re.compile(r'\d\d:\d\d:\d\d (?:\[(?P<level>\w+)\]|\d{3} )|\{.*"level": ?"(?P<json>\w+)"')
"""How a line begins, in either format of the log; a line without a level is a request's."""


def takes_colour() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def coloured(text: str, colour: int) -> str:
    """By an SGR parameter (ECMA-48)."""
    return f"\x1b[{colour}m{text}\x1b[0m"


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


@dataclass
class Sieve:
    """Lets through what somebody has to see: from a level on, and what belongs to it (the lines of a traceback).

    Before the first line with a level nothing is known, and all is shown: a process that cannot start says so there.
    """

    is_open: bool = True

    def passes(self, line: str, least: str) -> bool:
        if found := _LEVEL.match(line):
            level = (found["level"] or found["json"] or "info").lower()
            self.is_open = LEVELS.get(level, 0) >= LEVELS[least]
        return self.is_open


class Terminal:
    """Prints lines under the name of whoever said them, in its colour."""

    def __init__(self, names: Iterable[str]) -> None:
        self._coloured = takes_colour()
        names = list(names)
        self._width = max(map(len, names), default=0)
        self._colours = dict(zip(names, itertools.cycle(COLOURS), strict=False))

    def line(self, name: str, text: str) -> None:
        prefix = f"{name:<{self._width}} |"
        if self._coloured:
            prefix = coloured(prefix, self._colours.get(name, 37))
            tone = next((colour for mark, colour in _TONES.items() if mark in text), None)
            text = coloured(text, tone) if tone else text
        print(prefix, text)

    def flush(self) -> None:
        sys.stdout.flush()


class LogFiles:
    """The files of a store's processes, followed together."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._tails = {name: Tail(path) for name, path in paths.items()}
        self._sieves = {name: Sieve() for name in paths}
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

    def show_new(self, least: str = "debug") -> None:
        """What was added, from this level on."""
        for name, tail in self._tails.items():
            for line in tail.lines():
                if self._sieves[name].passes(line, least):
                    self._terminal.line(name, line)
        self._terminal.flush()
