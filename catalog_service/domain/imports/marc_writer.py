"""Books as MARC 21 records (ISO 2709, UTF-8).

What does not fit into a record is left out, and so left alone when it is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from pymarc import Field, Indicators, Record, Subfield

from catalog_service.domain.imports.marc_reader import AGENCY, AVAILABILITY_SOURCE, GENRE_SOURCE, WITHDRAWN
from catalog_service.domain.imports.onix_writer import plain
from catalog_service.domain.languages import to_iso639_2b

LONGEST_FIELD = 9_999
LONGEST_RECORD = 99_000
UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
LEADER = "00000n{kind}m a2200000 c 4500"


def write(books: Iterable[Any]) -> Iterator[bytes]:
    """Each book as a record; importing them again changes nothing."""
    for book in books:
        yield _record(book).as_marc()


def _record(book: Any) -> Record:
    """The fields that fit, the most telling first; of what belongs together either all or nothing."""
    record = Record(leader=LEADER.format(kind="i" if book.format == "audiobook" else "a"))
    chosen: list[Field] = []
    size = 0
    for group in _groups(book):
        sizes = [len(field.as_marc("utf-8")) for field in group]
        if size + sum(sizes) + 12 * len(sizes) < LONGEST_RECORD and max(sizes, default=0) <= LONGEST_FIELD:
            chosen += group
            size += sum(sizes) + 12 * len(sizes)
    record.add_field(*sorted(chosen, key=lambda field: field.tag))
    return record


def _groups(book: Any) -> Iterator[list[Field]]:
    yield [Field(tag="001", data=book.code), Field(tag="003", data=AGENCY), Field(tag="008", data=_fixed(book))]
    yield [_field("020", a=book.isbn, q=book.format)]
    if book.price is not None:
        yield [_field("365", b=str(book.price), c=book.currency)]
    if not book.is_active:
        withdrawn = [Subfield("c", WITHDRAWN), Subfield("2", AVAILABILITY_SOURCE)]
        yield [Field(tag="366", indicators=Indicators(" ", " "), subfields=withdrawn)]
    if _writable(book.title):
        subtitle = book.subtitle if _writable(book.subtitle) else None
        yield [_field("245", "0", "0", a=book.title, b=subtitle)]
    yield _authors(book.authors)
    if _writable(book.series_name):
        number = None if book.series_position is None else plain(book.series_position)
        yield [_field("490", "0", a=book.series_name, v=number)]
    if _writable(book.publisher):
        yield [_field("264", " ", "1", b=book.publisher)]
    if book.pages:
        yield [_field("300", a=f"{book.pages} pages")]
    if all(map(_writable, book.genres)):
        yield [Field(tag="655", indicators=Indicators(" ", "7"), subfields=_genre(name)) for name in book.genres]
    if _writable(book.description):
        yield [_field("520", a=book.description)]


def _fixed(book: Any) -> str:
    """Field 008: date entered, date of publication, language."""
    has_year = book.published_year is not None and book.published_year > 0
    year = f"s{book.published_year:04d}" if has_year else "nuuuu"
    language = (book.language and to_iso639_2b(book.language)) or "   "
    return f"{book.created_at:%y%m%d}{year}    xx {' ' * 17}{language} d"


def _field(tag: str, first: str = " ", second: str = " ", **values: str | None) -> Field:
    subfields = [Subfield(code, value) for code, value in values.items() if value]
    return Field(tag=tag, indicators=Indicators(first, second), subfields=subfields)


def _genre(name: str) -> list[Subfield]:
    return [Subfield("a", name), Subfield("2", GENRE_SOURCE)]


def _authors(names: list[str]) -> list[Field]:
    if not all(map(_writable, names)):
        return []
    author = [Subfield("4", "aut")]
    return [
        Field(tag=tag, indicators=Indicators("0", " "), subfields=[Subfield("a", name), *author])
        for tag, name in zip(["100", *["700"] * len(names)], names, strict=False)
    ]


def _writable(text: str | None) -> bool:
    return bool(text) and not UNWRITABLE.search(text or "")
