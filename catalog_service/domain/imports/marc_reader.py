"""MARC 21 records, as ISO 2709 (in UTF-8 or MARC-8) or MARCXML: what a library says of a book that we can keep.

A record that is silent about something leaves it alone.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import IO, Any, Protocol
from xml.etree.ElementTree import Element

from pymarc import Field, Indicators, Record, Subfield
from pymarc.exceptions import PymarcException
from pymarc.leader import Leader
from pymarc.marc8_mapping import CODESETS, ODD_MAP

from catalog_service.domain.imports.draft import Problem, Rejected, Row
from catalog_service.domain.imports.onix_reader import position, upright
from catalog_service.domain.imports.reading import (
    CHUNK,
    LONGEST_RECORD,
    FileRefused,
    opened,
    refuse_wide,
    rejecting,
)
from catalog_service.domain.imports.reading import Record as Entry
from catalog_service.domain.imports.xml_reader import XmlElements, local, source_of
from catalog_service.domain.isbn import find_isbn13
from catalog_service.domain.languages import NO_ONE_LANGUAGE, to_iso639

AGENCY = "Bookstore"
GENRE_SOURCE = "bookstore"
AVAILABILITY_SOURCE = "onixas"
CANCELLED, OUT_OF_PRINT, WITHDRAWN = "AB", "OP", "WS"
LONGEST = 99_999
MOST_GENRES = 60
END = b"\x1d"
BETWEEN = b"\r\n\t \x00\x1a"
ANSEL = frozenset(CODESETS[0x45]) | frozenset(ODD_MAP)
WITHOUT_PUNCTUATION = "cn"
AUTHORS = re.compile(r"aut\b|auth|creator|http.*/aut$", re.IGNORECASE)
QUALIFIERS = {
    "hardcover": re.compile(r"hard|hbk|cloth|bound|geb", re.IGNORECASE),
    "paperback": re.compile(r"paper|pbk|soft|broch|kart", re.IGNORECASE),
    "audiobook": re.compile(r"audio", re.IGNORECASE),
    "ebook": re.compile(r"e-?book|electronic|epub|online|pdf", re.IGNORECASE),
}


class MarcReader:
    def __init__(self, file: IO[bytes], on_read: Callable[[int], object] = lambda _bytes: None) -> None:
        """Raises FileRefused for a file that is neither ISO 2709 nor MARCXML."""
        source = opened(file, on_read)
        start = source.peek(64).lstrip(b"\xef\xbb\xbf" + BETWEEN)
        self._entries: _Entries
        if start.startswith(b"<"):
            self._entries = _XmlEntries(source)
        else:
            refuse_wide(source)
            if not start[:5].isdigit():
                raise FileRefused("the file is not MARC 21: it begins with neither a record's length nor XML")
            self._entries = _BinaryEntries(source)
        self.head, self.tail = self._entries.head, self._entries.tail

    def __iter__(self) -> Iterator[Entry]:
        yield from self._entries


class _Entries(Protocol):
    head: bytes
    tail: bytes

    def __iter__(self) -> Iterator[Entry]: ...


class _BinaryEntries:
    """Records up to their terminators, so that one with a wrong length costs itself only."""

    head = tail = b""

    def __init__(self, file: io.BufferedReader[Any]) -> None:
        self._file = file

    def __iter__(self) -> Iterator[Entry]:
        for number, data in enumerate(self._chunks(), start=1):
            if len(data) > LONGEST:
                problem = Problem(number, "", f"has no end within the {LONGEST} bytes that a record may have")
                yield Entry(number, 0, bytes, rejecting(problem))
            else:
                yield Entry(number, len(data), partial(bytes, data), partial(_parse_binary, number, data))

    def _chunks(self) -> Iterator[bytes]:
        """One that is too long is cut off behind LONGEST."""
        rest = b""
        while data := self._file.read1(CHUNK):
            *ended, rest = (rest + data).split(END)
            for chunk in ended:
                if chunk := chunk.lstrip(BETWEEN):
                    yield chunk + END
            rest = rest[: LONGEST + 1]
        if rest := rest.strip(BETWEEN):
            yield rest


class _XmlEntries:
    head = b'<?xml version="1.0" encoding="UTF-8"?>\n<collection xmlns="http://www.loc.gov/MARC21/slim">\n'
    tail = b"</collection>\n"

    def __init__(self, file: io.BufferedReader[Any]) -> None:
        self._elements = XmlElements(file, frozenset({"record"}))
        if local(self._elements.root) not in ("collection", "record"):
            raise FileRefused("the file is XML, but neither a MARCXML collection nor a record")
        if ":" in self._elements.root:
            prefix = self._elements.root.partition(":")[0]
            self.head = self.head.replace(b"<collection ", f'<collection xmlns:{prefix}="{_SLIM}" '.encode())

    def __iter__(self) -> Iterator[Entry]:
        for number, (element, size) in enumerate(self._elements, start=1):
            if element is None:
                problem = Problem(number, "", f"is larger than {LONGEST_RECORD} characters, or has too many parts")
                yield Entry(number, 0, bytes, rejecting(problem))
            else:
                yield Entry(number, size, partial(source_of, element), partial(_parse_xml, number, element))


_SLIM = "http://www.loc.gov/MARC21/slim"


def _parse_binary(number: int, data: bytes, currency: str) -> Row:
    doubts: list[Problem] = []
    try:
        is_utf8 = _is_utf8(number, data, doubts)
        record = Record(data=data, force_utf8=is_utf8, hide_utf8_warnings=True)
    except UnicodeDecodeError:
        message = "its text is neither UTF-8 nor MARC-8; is it in Windows-1252?"
        raise Rejected([Problem(number, "", message)]) from None
    except (PymarcException, ValueError, IndexError, TypeError, KeyError) as error:
        raise Rejected([Problem(number, "", f"is not a MARC record: {error or type(error).__name__}")]) from None
    return parse(number, record, currency, doubts)


def _is_utf8(number: int, data: bytes, doubts: list[Problem]) -> bool:
    """By the leader, and by the bytes where it is wrong. Raises UnicodeDecodeError for what is neither."""
    if data[9:10] == b"a" or (data.isascii() and b"\x1b" not in data):
        data.decode("utf-8")
        return True
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        if b"\x1b" not in data and not ANSEL.issuperset(byte for byte in data if byte > 0x80):
            raise
        return False
    if data.isascii():
        return False
    doubts.append(Problem(number, "", "says that it is MARC-8, but is UTF-8: read as that", False))
    return True


def _parse_xml(number: int, element: Element, currency: str) -> Row:
    record = Record()
    for part in element:
        tag, name = part.get("tag", ""), local(part.tag)
        if name == "leader" and len(part.text or "") == 24:
            record.leader = Leader(part.text or "")
        elif name == "controlfield":
            record.add_field(Field(tag=tag, data=part.text or ""))
        elif name == "datafield" and len(tag) == 3:
            indicators = Indicators(part.get("ind1", " "), part.get("ind2", " "))
            subfields = [Subfield(each.get("code", ""), each.text or "") for each in part]
            record.add_field(Field(tag=tag, indicators=indicators, subfields=subfields))
    return parse(number, record, currency, [])


def parse(number: int, record: Record, currency: str, doubts: list[Problem]) -> Row:
    """Raises Rejected."""
    clean = _as_it_is if str(record.leader)[18:19] in WITHOUT_PUNCTUATION else _without_punctuation
    fixed = _control(record, "008").ljust(40)
    values: dict[str, Any] = _series(record, clean) | _book_number(record, number, doubts)
    found = {
        "code": _control(record, "001").strip() if _control(record, "003").strip() == AGENCY else "",
        "title": clean(_joined(record, "245", "anp")),
        "subtitle": clean(_joined(record, "245", "b")),
        "authors": _authors(record, clean),
        "publisher": clean(_joined(record, "264", "b") or _joined(record, "260", "b")),
        "published_year": _year(record, fixed),
        "language": _language(record, fixed, number, doubts),
        "pages": _pages(record),
        "genres": _genres(record, clean),
        "description": _joined(record, "520", "ab"),
        "price": _price(record, currency),
    }
    if "format" not in values and (format := _form(record, fixed)):
        values["format"] = format
    row = Row.parse(number, values | {name: value for name, value in found.items() if value}, _on_sale(record))
    row.problems += doubts
    return row


def _as_it_is(text: str) -> str:
    return text


def _without_punctuation(text: str) -> str:
    """Without what cataloguing rules write between parts; the full stop of an abbreviation stays."""
    return re.sub(r"(?<=\w{3})\.$", "", text.strip().rstrip(" /:;=,"))


def _control(record: Record, tag: str) -> str:
    found = record.get(tag)
    return found.data or "" if found is not None else ""


def _joined(record: Record, tag: str, codes: str) -> str:
    found = record.get(tag)
    return _of(found, codes) if found is not None else ""


def _of(field: Field, codes: str) -> str:
    return " ".join(value.strip() for value in field.get_subfields(*codes) if value.strip())


def _book_number(record: Record, number: int, doubts: list[Problem]) -> dict[str, str]:
    """The first good ISBN, and the binding that stands with it."""
    written = [(field, _of(field, "a")) for field in record.get_fields("020")]
    good = [(field, isbn) for field, text in written if (isbn := find_isbn13(re.split(r"[\s(:]", text)[0]))]
    if others := sorted({isbn for _, isbn in good} - {isbn for _, isbn in good[:1]}):
        doubts.append(Problem(number, "020", f"names other editions as well, which are left out: {others}", False))
    if not good and any(text for _, text in written):
        doubts.append(Problem(number, "020", "has no valid ISBN: imported without", False))
    chosen = good[0][0] if good else next((field for field, _ in written), None)
    found = {"isbn": good[0][1]} if good else {}
    qualifier = _of(chosen, "aq") if chosen is not None else ""
    for format, pattern in QUALIFIERS.items():
        if pattern.search(qualifier):
            return found | {"format": format}
    return found


def _form(record: Record, fixed: str) -> str:
    if str(record.leader)[6:7] == "i":
        return "audiobook"
    return "ebook" if fixed[23] in "oqs" else ""


def _authors(record: Record, clean: Callable[[str], str]) -> list[str]:
    names = []
    for field in record.get_fields("100", "110", "700", "710"):
        relators = field.get_subfields("e", "4")
        if field.get_subfields("t") or (relators and not any(map(AUTHORS.match, relators))):
            continue
        name = clean(_of(field, "a" if field.tag.endswith("00") else "ab"))
        is_inverted = field.tag.endswith("00") and field.indicator1 == "1"
        names.append(upright(name) if is_inverted else name)
    return list(dict.fromkeys(filter(None, names)))


def _year(record: Record, fixed: str) -> str:
    for field in record.get_fields("264", "260"):
        if field.indicator2 in (" ", "1") and (year := re.search(r"(?<!\d)\d{4}(?!\d)", _of(field, "c"))):
            return year[0]
    return fixed[7:11] if fixed[7:11].isdecimal() and fixed[7:11] not in ("9999", "0000") else ""


def _language(record: Record, fixed: str, number: int, doubts: list[Problem]) -> str:
    for code in (fixed[35:38].strip(" |#"), _joined(record, "041", "a")[:3]):
        if not code or code.lower() in NO_ONE_LANGUAGE:
            continue
        try:
            return to_iso639(code)
        except ValueError as error:
            doubts.append(Problem(number, "language", f"{code} {error}: left as it is", False))
    return ""


def _pages(record: Record) -> str:
    found = re.findall(r"(\d{1,6})\s*(?:p\b|pp|pages?|S\.)", _joined(record, "300", "a"))
    return found[-1] if found else ""


def _series(record: Record, clean: Callable[[str], str]) -> dict[str, Any]:
    for field in record.get_fields("490", "830", "800"):
        if name := clean(_of(field, "t" if field.tag == "800" else "a")):
            return {"series_name": name, "series_position": position(_of(field, "v"))}
    return {}


def _genres(record: Record, clean: Callable[[str], str]) -> list[str]:
    """Those that are ours where there are any, else genres and topics of others."""
    fields = record.get_fields("655", "650")
    own = [_of(field, "a") for field in fields if GENRE_SOURCE in field.get_subfields("2")]
    others = [clean(_of(field, "a")) for field in fields]
    return own or list(dict.fromkeys(filter(None, others)))[:MOST_GENRES]


def _price(record: Record, currency: str) -> str:
    for field in record.get_fields("365"):
        if _of(field, "c") == currency:
            return _of(field, "b")
    for field in record.get_fields("020"):
        terms = re.fullmatch(rf"(?:{currency}\s*(\d+\.\d\d)|(\d+\.\d\d)\s*{currency})", _of(field, "c"))
        if terms:
            return terms[1] or terms[2]
    return ""


def _on_sale(record: Record) -> dict[str, bool]:
    """What counts for a book that is new. A date may stand behind the code."""
    for field in record.get_fields("366"):
        is_known = _of(field, "2").replace("-", "") == AVAILABILITY_SOURCE
        if is_known and _of(field, "c")[:2] in (CANCELLED, OUT_OF_PRINT, WITHDRAWN):
            return {"is_active": False}
    return {}
