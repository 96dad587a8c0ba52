"""Books as an ONIX 3.0 message with reference names. What XML cannot write is left out, and so left alone when read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element, SubElement

from catalog_service.domain.imports.onix_tags import CODE_NAME, GENRE_SCHEME
from catalog_service.domain.languages import to_iso639_2b
from common.db import utcnow

NAMESPACE = "http://ns.editeur.org/onix/3.0/reference"
SENDER = "Bookstore"
FORMS = {"paperback": "BC", "hardcover": "BB", "ebook": "EA", "audiobook": "AA"}
UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
OFF_SALE, IN_STOCK, OUT_OF_STOCK = "40", "21", "31"
FREE, TO_BE_ANNOUNCED = "01", "02"


def write(books: Iterable[Any]) -> Iterator[bytes]:
    """Each book as a product; importing them again changes nothing."""
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<ONIXMessage release="3.0" xmlns="{NAMESPACE}">\n'.encode()
    yield _bytes(_header())
    for book in books:
        yield _bytes(_product(book))
    yield b"</ONIXMessage>\n"


def _bytes(element: Element) -> bytes:
    # A bare CR would be read as a line feed.
    return ET.tostring(element, encoding="utf-8", xml_declaration=False).replace(b"\r", b"&#13;") + b"\n"


def _header() -> Element:
    header = Element("Header")
    add(SubElement(header, "Sender"), SenderName=SENDER)
    add(header, SentDateTime=utcnow().strftime("%Y%m%dT%H%MZ"))
    return header


def add(parent: Element, **texts: str) -> Element:
    """Children with these texts, in this order; gives the parent."""
    for name, text in texts.items():
        SubElement(parent, name).text = text
    return parent


def writable(*texts: str | None) -> bool:
    return all(text and not UNWRITABLE.search(text) for text in texts)


def _product(book: Any) -> Element:
    product = add(Element("Product"), RecordReference=book.code, NotificationType="03")
    code = SubElement(product, "ProductIdentifier")
    add(code, ProductIDType="01", IDTypeName=CODE_NAME, IDValue=book.code)
    if book.isbn:
        for kind in ("03", "15"):
            add(SubElement(product, "ProductIdentifier"), ProductIDType=kind, IDValue=book.isbn)
    _describe(SubElement(product, "DescriptiveDetail"), book)
    if writable(book.description):
        content = SubElement(SubElement(product, "CollateralDetail"), "TextContent")
        add(content, TextType="03", ContentAudience="00", Text=book.description)
        content[-1].set("textformat", "06")
    _add_publishing(product, book)
    _add_supply(SubElement(SubElement(product, "ProductSupply"), "SupplyDetail"), book)
    return product


def _describe(detail: Element, book: Any) -> None:
    add(detail, ProductComposition="00", ProductForm=FORMS[book.format])
    if writable(book.series_name):
        _add_series(SubElement(detail, "Collection"), book)
    if writable(book.title):
        _add_title(SubElement(detail, "TitleDetail"), "01", book.title, book.subtitle)
    _add_contributors(detail, book.authors)
    if language := book.language and to_iso639_2b(book.language):
        add(SubElement(detail, "Language"), LanguageRole="01", LanguageCode=language)
    if book.pages:
        add(SubElement(detail, "Extent"), ExtentType="00", ExtentValue=str(book.pages), ExtentUnit="03")
    if writable(*book.genres):
        for genre in book.genres:
            subject = add(SubElement(detail, "Subject"), SubjectSchemeIdentifier="24", SubjectSchemeName=GENRE_SCHEME)
            add(subject, SubjectHeadingText=genre)


def _add_series(collection: Element, book: Any) -> None:
    add(collection, CollectionType="10")
    if book.series_position is not None:
        number = plain(book.series_position)
        sequence = SubElement(collection, "CollectionSequence")
        add(sequence, CollectionSequenceType="02", CollectionSequenceNumber=number)
    _add_title(SubElement(collection, "TitleDetail"), "02", book.series_name, None)


def _add_title(detail: Element, level: str, title: str, subtitle: str | None) -> None:
    element = SubElement(add(detail, TitleType="01"), "TitleElement")
    add(element, TitleElementLevel=level, TitleText=title)
    if subtitle and writable(subtitle):
        add(element, Subtitle=subtitle)


def _add_contributors(detail: Element, names: list[str]) -> None:
    if not names:
        SubElement(detail, "NoContributor")
    elif writable(*names):
        for number, name in enumerate(names, start=1):
            person = SubElement(detail, "Contributor")
            add(person, SequenceNumber=str(number), ContributorRole="A01", PersonName=name)


def _add_publishing(product: Element, book: Any) -> None:
    has_year = book.published_year is not None and book.published_year > 0
    if not has_year and not writable(book.publisher):
        return
    detail = SubElement(product, "PublishingDetail")
    if writable(book.publisher):
        add(SubElement(detail, "Publisher"), PublishingRole="01", PublisherName=book.publisher)
    if has_year:
        date = add(SubElement(detail, "PublishingDate"), PublishingDateRole="01", Date=f"{book.published_year:04d}")
        date[-1].set("dateformat", "05")


def _add_supply(supply: Element, book: Any) -> None:
    add(SubElement(supply, "Supplier"), SupplierRole="00", SupplierName=SENDER)
    stock = IN_STOCK if book.on_hand > book.reserved else OUT_OF_STOCK
    add(supply, ProductAvailability=stock if book.is_active else OFF_SALE)
    if book.price is None:
        add(supply, UnpricedItemType=TO_BE_ANNOUNCED)
    elif book.price == 0:
        add(supply, UnpricedItemType=FREE)
    else:
        price = SubElement(supply, "Price")
        add(price, PriceType="01", PriceAmount=str(book.price), CurrencyCode=book.currency)


def plain(value: Decimal) -> str:
    """A place in a series: 1, not 1.00."""
    return f"{value.normalize():f}"
