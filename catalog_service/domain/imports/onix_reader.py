"""ONIX 3.0 messages, with reference names or short tags: what a product says of a book that we can keep.

A product that is silent about something leaves it alone. That it is not available counts for a book that is new; stock
is not read: it has its own ledger.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from html.parser import HTMLParser
from typing import IO, Any
from xml.etree.ElementTree import Element

from catalog_service.domain.imports.draft import Problem, Rejected, Row
from catalog_service.domain.imports.onix_tags import CODE_NAME, GENRE_SCHEME, TAGS, every, name_of, text_at
from catalog_service.domain.imports.reading import LONGEST_RECORD, FileRefused, Record, opened, rejecting
from catalog_service.domain.imports.xml_reader import XmlElements, local, source_of
from catalog_service.domain.languages import NO_ONE_LANGUAGE

DELETION = "05"
ISBN_13, GTIN_13, ISBN_10, PROPRIETARY = "15", "03", "02", "01"
KEYWORDS, OWN_SCHEME = "20", "24"
PAGE_COUNTS = ("00", "11", "08", "05", "07")
DESCRIPTIONS = ("03", "02")
PRICES = ("01", "02", "41", "42")
FREE = "01"
UNAVAILABLE = frozenset({"01", "40", "41", "42", "43", "46", "48", "49", "51", "52"})
MOST_GENRES = 60
HTML = "02"
BLOCKS = frozenset({"p", "br", "li", "div", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "h6"})
FORMATS = {"BB": "hardcover", "BC": "paperback", "E": "ebook", "A": "audiobook", "B": "paperback"}


class OnixReader:
    def __init__(self, file: IO[bytes], on_read: Callable[[int], object] = lambda _bytes: None) -> None:
        """Raises FileRefused for a file that is not an ONIX 3 message."""
        self._elements = XmlElements(opened(file, on_read), TAGS)
        root, release = local(self._elements.root), self._elements.attributes.get("release", "")
        if root.lower() != "onixmessage":
            raise FileRefused("the file is not an ONIX message")
        if not release.startswith("3"):
            raise FileRefused(f"the message is ONIX {release or '2'}: only ONIX 3 is read")
        self.head = _opening(self._elements)
        self.tail = f"</{self._elements.root}>\n".encode()

    def __iter__(self) -> Iterator[Record]:
        number, currency = 0, ""
        for element, size in self._elements:
            if element is None:
                number += 1
                problem = Problem(number, "", f"is larger than {LONGEST_RECORD} characters, or has too many parts")
                yield Record(number, 0, bytes, rejecting(problem))
            elif name_of(element) == "Header":
                currency = text_at(element, "DefaultCurrencyCode")
                self.head += source_of(element)
            else:
                number += 1
                yield Record(number, size, partial(source_of, element), partial(parse, number, element, currency))


def _opening(elements: XmlElements) -> bytes:
    opening = source_of(Element(elements.root, elements.attributes)).rstrip().removesuffix(b" />")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + opening + b">\n"


def parse(number: int, product: Element, default_currency: str, currency: str) -> Row:
    """Raises Rejected."""
    if text_at(product, "NotificationType") == DELETION:
        raise Rejected([Problem(number, "NotificationType", "tells of a deletion, which an import does not do")])
    doubts: list[Problem] = []
    detail = next(every(product, "DescriptiveDetail"), None)
    values: dict[str, Any] = _identifiers(product) | _titles(detail) | _contributors(detail)
    values |= _series(detail) | _genres(detail) | _published(product)
    found = {
        "format": _format(text_at(detail, "ProductForm"), number, doubts),
        "language": _language(detail),
        "pages": _pages(detail),
        "description": _description(product),
        "price": _price(product, default_currency, currency, number, doubts),
    }
    row = Row.parse(number, values | {name: value for name, value in found.items() if value}, _on_sale(product))
    row.problems += doubts
    return row


def _identifiers(product: Element) -> dict[str, str]:
    by_type: dict[str, str] = {}
    found = {}
    for identifier in every(product, "ProductIdentifier"):
        kind, value = text_at(identifier, "ProductIDType"), text_at(identifier, "IDValue")
        if kind == PROPRIETARY and text_at(identifier, "IDTypeName") == CODE_NAME:
            found["code"] = value
        if kind != GTIN_13 or value.startswith(("978", "979")):
            by_type.setdefault(kind, value)
    if isbn := by_type.get(ISBN_13) or by_type.get(GTIN_13) or by_type.get(ISBN_10):
        found["isbn"] = isbn
    return found


def _titles(detail: Element | None) -> dict[str, str]:
    """The distinctive title, of the product itself."""
    for title in every(detail, "TitleDetail"):
        if text_at(title, "TitleType") not in ("01", ""):
            continue
        for element in every(title, "TitleElement"):
            if text_at(element, "TitleElementLevel") in ("01", "") and (text := _title(element)):
                subtitle = text_at(element, "Subtitle")
                return {"title": text} | ({"subtitle": subtitle} if subtitle else {})
    return {}


def _title(element: Element) -> str:
    """With its article in front, however it is given."""
    parts = (text_at(element, "TitlePrefix"), text_at(element, "TitleWithoutPrefix"))
    return text_at(element, "TitleText") or " ".join(filter(None, parts))


def _contributors(detail: Element | None) -> dict[str, list[str]]:
    """Authors in their order; the editors, or whoever there is, of a book without any."""
    if any(every(detail, "NoContributor")) and not any(every(detail, "Contributor")):
        return {"authors": []}
    people = [(_order(each), _roles(each), name) for each in every(detail, "Contributor") if (name := _person(each))]
    people.sort(key=lambda person: person[0])
    for wanted in ("A", "B", ""):
        names = [name for _, roles, name in people if any(role.startswith(wanted) for role in roles)]
        if names:
            return {"authors": list(dict.fromkeys(names))}
    return {}


def _order(contributor: Element) -> int:
    number = text_at(contributor, "SequenceNumber")
    return int(number) if number.isdecimal() and len(number) < 6 else 100_000


def _roles(contributor: Element) -> list[str]:
    return [(role.text or "").strip() for role in every(contributor, "ContributorRole")] or [""]


def _person(contributor: Element) -> str:
    if name := text_at(contributor, "PersonName"):
        return name
    parts = ("NamesBeforeKey", "PrefixToKey", "KeyNames", "NamesAfterKey", "SuffixToKey")
    if text_at(contributor, "KeyNames"):
        return " ".join(filter(None, (text_at(contributor, part) for part in parts)))
    if inverted := text_at(contributor, "PersonNameInverted"):
        return upright(inverted)
    return text_at(contributor, "CorporateName")


def upright(inverted: str) -> str:
    """ "Austen, Jane" as one says it; a "Jr." behind a second comma stays behind."""
    family, _, given = (part.strip() for part in inverted.partition(","))
    given, comma, suffix = (part.strip() for part in given.partition(","))
    return f"{given} {family}{comma and f', {suffix}'}".strip() if given else family


def _series(detail: Element | None) -> dict[str, Any]:
    for collection in every(detail, "Collection"):
        elements = list(every(collection, "TitleDetail", "TitleElement"))
        named = [element for element in elements if text_at(element, "TitleElementLevel") == "02"] or elements
        if name := next(filter(None, map(_title, named)), ""):
            number = text_at(collection, "CollectionSequence", "CollectionSequenceNumber")
            parts = [*elements, *every(detail, "TitleDetail", "TitleElement")]
            number = number or next(filter(None, (text_at(part, "PartNumber") for part in parts)), "")
            return {"series_name": name, "series_position": position(number)}
    return {}


def position(text: str) -> str | None:
    """The number in "Volume 3"."""
    found = re.search(r"\d{1,5}(?:\.\d{1,2})?(?!\d)", text)
    return found[0] if found else None


def _genres(detail: Element | None) -> dict[str, list[str]]:
    """Those of our own scheme where there are any, else the headings of others; keywords are none."""
    own, others = [], []
    for subject in every(detail, "Subject"):
        scheme, heading = text_at(subject, "SubjectSchemeIdentifier"), text_at(subject, "SubjectHeadingText")
        if scheme == OWN_SCHEME and text_at(subject, "SubjectSchemeName") == GENRE_SCHEME:
            own.append(heading)
        elif heading and scheme != KEYWORDS:
            others.append(heading)
    found = list(dict.fromkeys(filter(None, own or others)))
    return {"genres": found if own else found[:MOST_GENRES]} if found else {}


def _published(product: Element) -> dict[str, str]:
    detail = next(every(product, "PublishingDetail"), None)
    publishers = list(every(detail, "Publisher"))
    publishers.sort(key=lambda publisher: text_at(publisher, "PublishingRole") not in ("01", ""))
    name = next(filter(None, (text_at(each, "PublisherName") for each in publishers)), "")
    found = {"publisher": name or text_at(detail, "Imprint", "ImprintName")}
    for date in every(detail, "PublishingDate"):
        if text_at(date, "PublishingDateRole") == "01" and (year := re.match(r"\d{4}", text_at(date, "Date"))):
            found["published_year"] = year[0]
    return {field: value for field, value in found.items() if value}


def _format(form: str, number: int, doubts: list[Problem]) -> str | None:
    found = FORMATS.get(form) or FORMATS.get(form[:1])
    if form and not found:
        doubts.append(Problem(number, "ProductForm", f"{form} is none of a book: left as it is", False))
    return found


def _language(detail: Element | None) -> str | None:
    for language in every(detail, "Language"):
        code = text_at(language, "LanguageCode")
        if text_at(language, "LanguageRole") in ("01", "") and code.lower() not in NO_ONE_LANGUAGE:
            return code
    return None


def _pages(detail: Element | None) -> str | None:
    counts = {
        text_at(extent, "ExtentType"): text_at(extent, "ExtentValue")
        for extent in every(detail, "Extent")
        if text_at(extent, "ExtentUnit") == "03"
    }
    return next((counts[kind] for kind in PAGE_COUNTS if kind in counts), None)


def _description(product: Element) -> str | None:
    texts: dict[str, Element] = {}
    for content in every(product, "CollateralDetail", "TextContent"):
        for text in every(content, "Text"):
            texts.setdefault(text_at(content, "TextType"), text)
    chosen = next((texts[kind] for kind in DESCRIPTIONS if kind in texts), None)
    return _plain(chosen) if chosen is not None else None


def _plain(text: Element) -> str:
    """Without markup, be it elements or written out."""
    words = "".join(_words(text))
    if text.get("textformat") != HTML:
        return words
    stripped = _Stripped()
    stripped.feed(words)
    stripped.close()
    return "".join(stripped.words)


def _words(element: Element) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        yield from _words(child)
        yield "\n" if local(child.tag).lower() in BLOCKS else ""
        yield child.tail or ""


class _Stripped(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_endtag(self, tag: str) -> None:
        self.words.append("\n" if tag in BLOCKS else "")


def _on_sale(product: Element) -> dict[str, bool]:
    """Not when all who supply it say that they do not, for good."""
    said = {text_at(each, "ProductAvailability") for each in every(product, "ProductSupply", "SupplyDetail")} - {""}
    return {"is_active": False} if said and said <= UNAVAILABLE else {}


def _price(product: Element, default: str, currency: str, number: int, doubts: list[Problem]) -> str | None:
    """In our currency, before tax rather than after it."""
    details = list(every(product, "ProductSupply", "SupplyDetail"))
    prices = [price for detail in details for price in every(detail, "Price")]
    if any(text_at(each, "UnpricedItemType") == FREE for each in [*details, *prices]):
        return "0.00"
    found: dict[str, str] = {}
    for price in prices:
        if (text_at(price, "CurrencyCode") or default or currency) == currency:
            found.setdefault(text_at(price, "PriceType"), text_at(price, "PriceAmount"))
    if prices and not found:
        doubts.append(Problem(number, "price", f"is not given in {currency}: left as it is", False))
    return next((found[kind] for kind in PRICES if kind in found), next(iter(found.values()), None))
