"""CSV files: bounded memory, and a bad line costs that line only."""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import IO, Any

from catalog_service.domain.imports import columns, goodbooks
from catalog_service.domain.imports.draft import Problem, Row
from catalog_service.domain.imports.reading import (
    LONGEST_RECORD,
    WHITE_SPACE,
    FileRefused,
    Record,
    opened,
    refuse_wide,
    rejecting,
)

DIALECTS: tuple[Any, ...] = (columns, goodbooks)
MOST_OPEN_QUOTES = 1_000
# NUL, and the surrogates that stand for bytes that are not UTF-8.
UNREADABLE = re.compile("[\x00\ud800-\udfff]")


class CsvReader:
    """The rows of a CSV file with a header that names columns of ours, or those of goodbooks-10k."""

    tail = b""

    def __init__(self, file: IO[bytes], on_read: Callable[[int], object] = lambda _bytes: None) -> None:
        """`on_read` is told how many bytes were read. Raises FileRefused for a file with another header."""
        source = opened(file, on_read)
        refuse_wide(source)
        self._lines = _Lines(source)
        first = _text(self._lines.take())
        delimiter = delimiter_of(first)
        header = next(csv.reader([first], delimiter=delimiter))
        self.head = first.rstrip("\r\n").encode() + b"\r\n"
        self._columns = [name.strip().lower() for name in header]
        self._dialect = dialect_of(self._columns)
        self._rows = csv.reader(self._lines, delimiter=delimiter, strict=True)
        csv.field_size_limit(LONGEST_RECORD)

    def __iter__(self) -> Iterator[Record]:
        number, open_quotes = 1, 0
        while True:
            self._lines.begin_record()
            number += 1
            try:
                cells = next(self._rows)
            except StopIteration:
                return
            except (csv.Error, RecordTooLong) as error:
                cells, reason = None, f"is not CSV: {error}"
            else:
                if not cells:
                    continue
                reason = f"has {len(cells)} fields where the header has {len(self._columns)}"
            if cells is not None and len(cells) == len(self._columns):
                yield self._record(number, cells)
                continue
            if self._lines.keep_first_only():
                reason = "has a quotation mark that opens and does not close"
                open_quotes += 1
            if open_quotes > MOST_OPEN_QUOTES:
                raise FileRefused("too many rows have a quotation mark that does not close")
            yield self._lines.record(number, rejecting(Problem(number, "", reason)))

    def _record(self, number: int, cells: list[str]) -> Record:
        values = {name: cell.strip(WHITE_SPACE) for name, cell in zip(self._columns, cells, strict=True)}
        parse: Callable[[str], Row] = partial(self._dialect.parse, number, values)
        for column, value in values.items():
            if UNREADABLE.search(value):
                message = "is not UTF-8 text, or contains NUL; is the file in Windows-1252? Save it as UTF-8"
                parse = rejecting(Problem(number, column, message))
        return self._lines.record(number, parse)


class RecordTooLong(ValueError):
    pass


class _Lines:
    """The lines that csv.reader asks for; those of the record that it is at can be given out once more."""

    def __init__(self, file: io.BufferedReader[Any]) -> None:
        self._file = file
        self._again: deque[bytes] = deque()
        self._record: list[bytes] = []
        self._size = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self.take()
        if not line:
            raise StopIteration
        self._record.append(line)
        self._size += len(line)
        if self._size > LONGEST_RECORD:
            raise RecordTooLong(f"longer than {LONGEST_RECORD} bytes")
        return line.decode("utf-8", "surrogateescape")

    def take(self) -> bytes:
        line = self._file.readline(LONGEST_RECORD)
        if len(line) == LONGEST_RECORD:
            raise FileRefused(f"a line is longer than {LONGEST_RECORD} bytes")
        return line

    def begin_record(self) -> None:
        self._record, self._size = [], 0

    def keep_first_only(self) -> bool:
        """Make the first line a record by itself; whether there were others, which come again."""
        self._again.extendleft(reversed(self._record[1:]))
        had_more = len(self._record) > 1
        del self._record[1:]
        return had_more

    def record(self, number: int, parse: Callable[[str], Row]) -> Record:
        return Record(number, self._size, partial(_joined, self._record), parse)


def _joined(lines: list[bytes]) -> bytes:
    return b"".join(lines).rstrip(b"\r\n") + b"\r\n"


def _text(header: bytes) -> str:
    try:
        text = header.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FileRefused("the header is not UTF-8 text") from None
    if not text.strip():
        raise FileRefused("the file has no header")
    if "\x00" in text or "\r" in text.rstrip("\r\n"):
        raise FileRefused("the header is binary, or its lines end with CR alone: save the file as UTF-8 CSV")
    return text


def delimiter_of(header: str) -> str:
    """A semicolon where spreadsheets write a decimal comma."""
    return ";" if header.count(";") > header.count(",") else ","


def dialect_of(names: list[str]) -> Any:
    for dialect in DIALECTS:
        if dialect.understands(names):
            return dialect
    unknown = sorted(set(names) - set(columns.COLUMNS) - set(columns.IGNORED))
    raise FileRefused(f"columns that are not known: {', '.join(unknown)}" if unknown else "no code, isbn or title")
