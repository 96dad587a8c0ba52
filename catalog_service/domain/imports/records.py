"""CSV files as records: bounded memory, and a bad line costs that line only."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from catalog_service.domain.imports.draft import Problem

LONGEST_LINE = 1_000_000


class FileRefused(ValueError):
    """The file as a whole is not one that can be imported."""


@dataclass(frozen=True, slots=True)
class Record:
    number: int
    values: dict[str, str]
    problem: Problem | None = None


class Records:
    """The rows of a CSV file with a header. Iterating reads it once, from where it stands."""

    def __init__(self, file: BinaryIO, on_read: Callable[[int], object] = lambda _bytes: None) -> None:
        """`on_read` is told how many bytes each line had. Raises FileRefused for a file without a header."""
        self._file = file
        self._on_read = on_read
        first = self._line()
        if not first.strip():
            raise FileRefused("the file is empty")
        delimiter = ";" if first.count(";") > first.count(",") else ","
        header = next(csv.reader([first.removeprefix("\ufeff")], delimiter=delimiter))
        self.columns = [name.strip().lower() for name in header]
        self._reader = csv.reader(self._lines(), delimiter=delimiter, strict=False)
        csv.field_size_limit(LONGEST_LINE)

    def __iter__(self) -> Iterator[Record]:
        number = 1
        while True:
            number += 1
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Record(number, {}, Problem(number, "", f"is not CSV: {error}"))
                continue
            if cells:
                yield self._record(number, cells)

    def _record(self, number: int, cells: list[str]) -> Record:
        if len(cells) != len(self.columns):
            message = f"has {len(cells)} fields where the header has {len(self.columns)}"
            return Record(number, {}, Problem(number, "", message))
        values = dict(zip(self.columns, map(str.strip, cells), strict=True))
        for column, value in values.items():
            if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
                return Record(number, values, Problem(number, column, "is not UTF-8 text, or contains NUL"))
        return Record(number, values)

    def _lines(self) -> Iterator[str]:
        while line := self._line():
            yield line

    def _line(self) -> str:
        line = self._file.readline(LONGEST_LINE)
        if len(line) == LONGEST_LINE:
            raise FileRefused(f"a line is longer than {LONGEST_LINE} bytes")
        self._on_read(len(line))
        return line.decode("utf-8", "surrogateescape")
