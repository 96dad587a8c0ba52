"""What readers of all formats have in common: records, limits, and files that are refused at first sight."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any, Protocol

from catalog_service.domain.imports.draft import Problem, Rejected, Row

LONGEST_RECORD = 1_000_000
CHUNK = 65_536
# Python strips U+001C to U+001F as well, pydantic does not: a text must come back as it went out.
WHITE_SPACE = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))

_FOREIGN = {
    b"\x1f\x8b": "is compressed with gzip: send it unpacked",
    b"PK\x03\x04": "is a zip archive or a spreadsheet: send the file in it, or save it as CSV",
    b"BZh": "is compressed with bzip2: send it unpacked",
    b"\xfd7zXZ": "is compressed with xz: send it unpacked",
    b"\x28\xb5\x2f\xfd": "is compressed with zstd: send it unpacked",
    b"7z\xbc\xaf": "is a 7z archive: send the file in it",
    b"\xd0\xcf\x11\xe0": "is an old spreadsheet: save it as CSV",
    b"%PDF": "is a PDF",
}
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")


class FileRefused(ValueError):
    """The file as a whole is not one that can be imported, or not any further."""


@dataclass(frozen=True, slots=True)
class Record:
    """One entry of a file, of about `size` bytes.

    `source()` is what stood there, `parse(currency)` makes a Row of it or raises Rejected.
    """

    number: int
    size: int
    source: Callable[[], bytes]
    parse: Callable[[str], Row]


class Reader(Protocol):
    """Iterated once. Records between `head` and `tail` are a file of the same kind; both may be known late."""

    head: bytes
    tail: bytes

    def __iter__(self) -> Iterator[Record]:
        """Raises FileRefused where it cannot be read any further."""


def rejecting(problem: Problem) -> Callable[[str], Row]:
    """The `parse` of a record that is known to be wrong."""

    def reject(_currency: str) -> Row:
        raise Rejected([problem])

    return reject


def opened(file: IO[bytes], on_read: Callable[[int], object] = lambda _bytes: None) -> io.BufferedReader[Any]:
    """The file, buffered and counted. Raises FileRefused for what no reader reads."""
    buffered: io.BufferedReader[Any] = io.BufferedReader(_Counted(file, on_read), CHUNK)
    start = buffered.peek(8)
    if not start:
        raise FileRefused("the file is empty")
    for magic, reason in _FOREIGN.items():
        if start.startswith(magic):
            raise FileRefused(f"the file {reason}")
    return buffered


def refuse_wide(file: io.BufferedReader[Any]) -> None:
    """For formats that do not say their encoding themselves. Raises FileRefused for UTF-16 and UTF-32."""
    start = file.peek(8)
    if start.startswith(_WIDE) or b"\x00" in start[:4]:
        raise FileRefused("the file is UTF-16 or UTF-32, or binary: save it as UTF-8")


class _Counted(io.RawIOBase):
    def __init__(self, file: IO[bytes], on_read: Callable[[int], object]) -> None:
        self._file = file
        self._on_read = on_read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._on_read(len(data))
        return len(data)
