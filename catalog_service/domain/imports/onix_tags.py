"""Names of ONIX 3.0 that are read: the reference names, and the short tags that mean the same."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from catalog_service.domain.imports.xml_reader import local

CODE_NAME = "Bookstore code"
GENRE_SCHEME = "Bookstore genre"

_COMPOSITES = (
    "Header Product ProductIdentifier DescriptiveDetail Collection CollectionSequence TitleDetail TitleElement "
    "Contributor NoContributor Language Extent Subject CollateralDetail TextContent PublishingDetail Imprint Publisher "
    "PublishingDate ProductSupply SupplyDetail Price"
)
_ELEMENTS = """
m186:DefaultCurrencyCode a001:RecordReference a002:NotificationType b221:ProductIDType b233:IDTypeName b244:IDValue
b012:ProductForm b333:ProductFormDetail x481:CollectionSequenceNumber b202:TitleType x409:TitleElementLevel
x410:PartNumber b203:TitleText b030:TitlePrefix b031:TitleWithoutPrefix b029:Subtitle b034:SequenceNumber
b035:ContributorRole b036:PersonName b037:PersonNameInverted b039:NamesBeforeKey b247:PrefixToKey b040:KeyNames
b041:NamesAfterKey b248:SuffixToKey b047:CorporateName n339:NoContributor b253:LanguageRole b252:LanguageCode
b218:ExtentType b219:ExtentValue b220:ExtentUnit b067:SubjectSchemeIdentifier b171:SubjectSchemeName b069:SubjectCode
b070:SubjectHeadingText x426:TextType d104:Text b079:ImprintName b291:PublishingRole b081:PublisherName
x448:PublishingDateRole b306:Date x462:PriceType j151:PriceAmount j152:CurrencyCode j192:UnpricedItemType
j396:ProductAvailability
"""
_REFERENCE = {name.lower(): name for name in _COMPOSITES.split()}
_REFERENCE |= dict(pair.split(":") for pair in _ELEMENTS.split())
TAGS = frozenset({"Product", "product", "Header", "header"})


def name_of(element: Element) -> str:
    """The reference name of an element, whatever it is written as."""
    written = local(element.tag)
    return _REFERENCE.get(written, written)


def every(element: Element | None, *path: str) -> Iterator[Element]:
    """All that are found by following the names downwards."""
    if element is None:
        return
    if not path:
        yield element
        return
    for child in element:
        if name_of(child) == path[0]:
            yield from every(child, *path[1:])


def text_at(element: Element | None, *path: str) -> str:
    """The text of the first that is found, or an empty one."""
    found = next(every(element, *path), None)
    return (found.text or "").strip() if found is not None else ""
