"""The formats that books come in and go out as."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from catalog_service.domain.imports import csv_writer, marc_writer, onix_writer
from catalog_service.domain.imports.csv_reader import CsvReader
from catalog_service.domain.imports.marc_reader import MarcReader
from catalog_service.domain.imports.onix_reader import OnixReader
from catalog_service.domain.imports.reading import FileRefused, Reader

FormatName = Literal["csv", "onix", "marc"]


@dataclass(frozen=True, slots=True)
class Format:
    """`reader(file, on_read)` raises FileRefused; `write` makes the pieces of a file of rows of `exports`.

    `write_raw` does so for programs, where people's spreadsheets get something else.
    """

    reader: Callable[[IO[bytes], Callable[[int], object]], Reader]
    write: Callable[[Iterable[Any]], Iterator[bytes]]
    media_type: str
    extension: str
    write_raw: Callable[[Iterable[Any]], Iterator[bytes]] | None = None


FORMATS: dict[str, Format] = {
    "csv": Format(CsvReader, csv_writer.write, "text/csv; charset=utf-8", "csv", csv_writer.write_raw),
    "onix": Format(OnixReader, onix_writer.write, "application/xml", "xml"),
    "marc": Format(MarcReader, marc_writer.write, "application/marc", "mrc"),
}
SUFFIXES = {".csv": "csv", ".onix": "onix", ".xml": "onix", ".mrc": "marc", ".marc": "marc", ".marcxml": "marc"}
UNTOLD = (".xml",)
"""Suffixes that several formats have: what is in the file decides."""


def by_suffix(file: Path) -> str | None:
    """The format that a file of this name has, or should get."""
    return SUFFIXES.get(file.suffix.lower())


def recognised(file: Path) -> str | None:
    """The format of a file that is there: by its name, or else by whose reader takes its beginning."""
    if file.suffix.lower() not in UNTOLD and (told := by_suffix(file)):
        return told
    return next((name for name, each in FORMATS.items() if _begins_as(file, each)), None)


def _begins_as(file: Path, format: Format) -> bool:
    with file.open("rb") as opened:
        try:
            format.reader(opened, lambda _bytes: None)
        except FileRefused:
            return False
    return True
