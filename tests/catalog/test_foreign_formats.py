"""ONIX, MARC and broken CSV as others send them: what can be read is, the rest is refused by name."""

from __future__ import annotations

import io
import tracemalloc

import pytest
from pymarc import Field, Indicators, Record, Subfield

from catalog_service.domain.imports.draft import Rejected
from catalog_service.domain.imports.formats import FORMATS
from catalog_service.domain.imports.onix_reader import upright
from catalog_service.domain.imports.reading import LONGEST_RECORD, FileRefused
from tests.catalog.test_imports_api import HEADER

REFERENCE = """<Product><RecordReference>com.example.1</RecordReference><NotificationType>03</NotificationType>
<ProductIdentifier><ProductIDType>03</ProductIDType><IDValue>5012345678900</IDValue></ProductIdentifier>
<ProductIdentifier><ProductIDType>15</ProductIDType><IDValue>978-0-14-143958-7</IDValue></ProductIdentifier>
<DescriptiveDetail><ProductForm>BB</ProductForm>
<Collection><TitleDetail><TitleType>01</TitleType><TitleElement><TitleElementLevel>02</TitleElementLevel>
<PartNumber>Volume 4</PartNumber><TitleText>Works</TitleText></TitleElement></TitleDetail></Collection>
<TitleDetail><TitleType>01</TitleType><TitleElement><TitleElementLevel>01</TitleElementLevel>
<TitlePrefix>The</TitlePrefix><TitleWithoutPrefix>Watsons</TitleWithoutPrefix><Subtitle>A fragment</Subtitle>
</TitleElement></TitleDetail>
<Contributor><SequenceNumber>2</SequenceNumber><ContributorRole>A01</ContributorRole>
<PersonNameInverted>Lefroy, Anna</PersonNameInverted></Contributor>
<Contributor><SequenceNumber>1</SequenceNumber><ContributorRole>A01</ContributorRole>
<NamesBeforeKey>Jane</NamesBeforeKey><KeyNames>Austen</KeyNames></Contributor>
<Contributor><SequenceNumber>3</SequenceNumber><ContributorRole>B06</ContributorRole>
<PersonName>A Translator</PersonName></Contributor>
<Language><LanguageRole>01</LanguageRole><LanguageCode>eng</LanguageCode></Language>
<Extent><ExtentType>00</ExtentType><ExtentValue>156</ExtentValue><ExtentUnit>03</ExtentUnit></Extent>
<Subject><SubjectSchemeIdentifier>20</SubjectSchemeIdentifier><SubjectHeadingText>keyword</SubjectHeadingText></Subject>
<Subject><SubjectSchemeIdentifier>93</SubjectSchemeIdentifier><SubjectHeadingText>Classics</SubjectHeadingText></Subject>
</DescriptiveDetail>
<CollateralDetail><TextContent><TextType>03</TextType>
<Text textformat="05"><p>Of <em>Emma</em> Watson.</p></Text></TextContent></CollateralDetail>
<PublishingDetail><Publisher><PublishingRole>01</PublishingRole><PublisherName>Oxford</PublisherName></Publisher>
<PublishingDate><PublishingDateRole>01</PublishingDateRole><Date dateformat="00">20080417</Date></PublishingDate>
</PublishingDetail>
<ProductSupply><SupplyDetail><ProductAvailability>20</ProductAvailability>
<Price><PriceType>02</PriceType><PriceAmount>11.00</PriceAmount><CurrencyCode>EUR</CurrencyCode></Price>
<Price><PriceType>01</PriceType><PriceAmount>12.99</PriceAmount></Price></SupplyDetail></ProductSupply></Product>"""

SHORT = """<product><a001>x</a001><a002>03</a002>
<productidentifier><b221>02</b221><b244>0141439580</b244></productidentifier>
<descriptivedetail><b012>BC</b012><titledetail><b202>01</b202><titleelement><x409>01</x409><b203>Emma</b203>
</titleelement></titledetail><contributor><b034>1</b034><b035>A01</b035><b036>Jane Austen</b036></contributor>
<language><b253>01</b253><b252>ger</b252></language></descriptivedetail>
<productsupply><supplydetail><price><x462>02</x462><j151>9.50</j151><j152>USD</j152></price></supplydetail>
</productsupply></product>"""


def onix(products, *, root="ONIXMessage", declaration="", release="3.0"):
    header = "<Header><DefaultCurrencyCode>USD</DefaultCurrencyCode></Header>"
    return f'<?xml version="1.0"?>{declaration}<{root} release="{release}">{header}{products}</{root}>'.encode()


def read(format, data):
    return list(FORMATS[format].reader(io.BytesIO(data), lambda _size: None))


def only(format, data):
    (record,) = read(format, data)
    return record.parse("USD")


def shown(row):
    return {name: getattr(row.draft, name) for name in row.draft.model_fields_set}


def test_reference_names_are_read():
    row = only("onix", onix(REFERENCE))
    assert {name: str(value) for name, value in shown(row).items()} == {
        "isbn": "9780141439587",
        "format": "hardcover",
        "series_name": "Works",
        "series_position": "4",
        "title": "The Watsons",
        "subtitle": "A fragment",
        "authors": "['Jane Austen', 'Anna Lefroy']",
        "language": "en",
        "pages": "156",
        "genres": "['Classics']",
        "description": "Of Emma Watson.",
        "publisher": "Oxford",
        "published_year": "2008",
        "price": "12.99",
    }


def test_short_tags_are_read():
    row = only("onix", onix(SHORT, root="ONIXmessage"))
    assert (row.draft.isbn, row.draft.title, row.draft.authors) == ("9780141439587", "Emma", ["Jane Austen"])
    assert (row.draft.language, str(row.draft.price), row.draft.format) == ("de", "9.50", "paperback")


def test_any_namespace_and_any_encoding_that_xml_names_are_read():
    prefixed = onix(REFERENCE).decode().replace("</", "</o:").replace("<", "<o:").replace("<o:/o:", "</o:")
    prefixed = prefixed.replace("<o:?", "<?").replace("<o:ONIXMessage", '<o:ONIXMessage xmlns:o="urn:x"')
    assert shown(only("onix", prefixed.encode())) == shown(only("onix", onix(REFERENCE)))
    wide = onix(REFERENCE.replace("Oxford", "Éditions")).decode().encode("utf-16")
    assert only("onix", wide).draft.publisher == "Éditions"
    latin = onix(REFERENCE.replace("Oxford", "Éditions")).decode().replace('"1.0"?', '"1.0" encoding="windows-1252"?')
    assert only("onix", latin.encode("cp1252")).draft.publisher == "Éditions"


def test_rejected_products_come_back_as_a_message(run, client, admin):
    deletion = REFERENCE.replace("<NotificationType>03", "<NotificationType>05")
    bad = REFERENCE.replace("978-0-14-143958-7", "9780000000000")
    done, _ = run(onix(REFERENCE + bad + deletion), format="onix")
    assert (done.created, done.rejected) == (1, 2)
    file = client.get(f"/api/v1/admin/imports/{done.id}/rejected", headers=admin).data
    assert len(read("onix", file)) == 2
    repaired = file.replace(b"9780000000000", b"9780141439594").replace(b"NotificationType>05", b"NotificationType>03")
    again, problems = run(repaired, format="onix")
    assert ((again.created, again.unchanged), problems) == ((1, 1), [])


def test_what_a_product_does_not_say_stays(run, client):
    run("isbn,title,price,subtitle,publisher,description\n9780141439587,Emma,3.00,A novel,Dent,About Emma\n")
    done, _ = run(onix(SHORT, root="ONIXmessage"), format="onix")
    assert done.updated == 1
    found = client.get("/api/v1/books/9780141439587").json
    assert (found["price"], found["subtitle"], found["publisher"]) == ("9.50", "A novel", "Dent")


def test_a_price_in_another_currency_is_not_ours():
    row = only("onix", onix(SHORT.replace("USD", "EUR"), root="ONIXmessage"))
    assert (row.draft.price, [problem.field for problem in row.problems]) == (None, ["price"])
    with pytest.raises(Rejected):
        only("onix", onix(SHORT.replace("9.50", "12,99"), root="ONIXmessage"))


def supplied(*availabilities):
    details = [
        f"<SupplyDetail><ProductAvailability>{code}</ProductAvailability></SupplyDetail>" for code in availabilities
    ]
    return onix(f"<Product><ProductSupply>{''.join(details)}</ProductSupply></Product>")


def test_a_product_that_nobody_supplies_any_more_is_off_sale_when_it_is_new(run, client):
    cases = {
        (): True,
        ("20",): True,
        ("31",): True,
        ("47",): True,
        ("40",): False,
        ("46", "51"): False,
        ("40", "21"): True,
    }
    found = {codes: only("onix", supplied(*codes)).defaults.get("is_active", True) for codes in cases}
    assert found == cases
    assert not only(
        "onix", onix("<product><productsupply><supplydetail><j396>40</j396></supplydetail></productsupply></product>")
    ).defaults["is_active"]
    done, problems = run(onix(REFERENCE.replace("<ProductAvailability>20", "<ProductAvailability>40")), format="onix")
    assert (done.created, problems) == (1, [])
    assert client.get("/api/v1/books/9780141439587").status_code == 404


BOMB = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (onix("<Product>&b;</Product>", declaration=BOMB), "DTD"),
        (onix("<Product>&a;</Product>", declaration=OUTSIDE), "DTD"),
        (onix("<Product/>", declaration='<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd">'), "DTD"),
        (onix("<Product>&eacute;</Product>"), "well-formed"),
        (onix("<Product>" + "<a>" * 100), "deep"),
        (onix("<Product>\x00</Product>"), "well-formed"),
        (onix("<Product><a"), "well-formed"),
        (onix("").replace(b"</ONIXMessage>", b"\xff\xff"), "well-formed"),
        (onix("", release="2.1"), "2.1"),
        (onix("", root="catalogue"), "not an ONIX"),
        (b"code,title\nA-1,Emma\n", "well-formed"),
        (b'<?xml version="1.0" encoding="klingon"?><ONIXMessage/>', "well-formed"),
    ],
)
def test_messages_that_are_refused(data, reason):
    with pytest.raises(FileRefused, match=reason):
        read("onix", data)


class Endless(io.RawIOBase):
    """A start, and then the same again and again: a file of any size that is never there as a whole."""

    def __init__(self, start, again, size):
        self._start, self._again, self._left = start, again, size

    def read(self, size=-1):
        if self._start:
            data, self._start = self._start[:size], self._start[size:]
            return data
        self._left -= size
        return (self._again * (size // len(self._again) + 1))[:size] if self._left > 0 else b""


@pytest.mark.parametrize(
    ("format", "start", "again"),
    [
        ("csv", b"", b"x"),
        ("csv", b"code,title,price\n", b"x"),
        ("csv", b'code,title,price\nA-1,"', b"x" * 200 + b"\n"),
        ("onix", b"<ONIXMessage release='3.0'><Product a='", b"x"),
        ("onix", b"<ONIXMessage release='3.0'><!-- ", b"x"),
        ("onix", b"<ONIXMessage release='3.0'><Product><a>", b"x"),
        ("onix", b"<ONIXMessage release='3.0'><Product><a>", b"&lt;"),
        ("onix", b"<ONIXMessage release='3.0'><Product>", b"<a/>"),
        ("onix", b"<", b"x"),
        ("marc", b"00100nam a2200000 a 4500", b"x"),
        ("marc", b"<collection><record><leader>", b"x"),
    ],
)
def test_endless_lines_tags_texts_and_records_are_refused_in_bounded_memory(format, start, again):
    reasons = []
    tracemalloc.start()
    try:
        for record in FORMATS[format].reader(Endless(start, again, 2_500_000), lambda _size: None):
            with pytest.raises(Rejected) as rejected:
                record.parse("USD")
            reasons += [problem.message for problem in rejected.value.problems][: 1 - len(reasons)]
    except FileRefused as refused:
        reasons.append(str(refused))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reasons
    assert peak < 8 * LONGEST_RECORD


def test_a_quotation_mark_that_never_closes_costs_its_row_only(run, client, admin):
    rows = "".join(f"N-{number},,Book {number},Somebody,1.00\n" for number in range(20))
    done, problems = run(f'{HEADER}\nA-1,,"Emma,Jane Austen,1.00\n{rows}A-2,,Emma,Jane,"1.00\n{rows.replace("N", "M")}')
    assert (done.created, done.rejected) == (40, 2)
    assert [(problem.row, "quotation" in problem.message) for problem in problems] == [(2, True), (23, True)]
    file = client.get(f"/api/v1/admin/imports/{done.id}/rejected", headers=admin).data.decode()
    assert file.splitlines() == [HEADER, 'A-1,,"Emma,Jane Austen,1.00', 'A-2,,Emma,Jane,"1.00']


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("code,title\nA-1,Emma\n".encode("utf-16"), "UTF-16"),
        ("code,title\nA-1,Emma\n".encode("utf-16-le"), "UTF-16"),
        ("code,titlé\n".encode("cp1252"), "UTF-8"),
        (b"code,title\rA-1,Emma\r", "CR"),
    ],
)
def test_other_encodings_of_csv_are_refused_by_name(data, reason):
    with pytest.raises(FileRefused, match=reason):
        read("csv", data)


def marc(*, coding="a", punctuated=True, **changes):
    record = Record(leader=f"00000nam {coding}2200000 {'a' if punctuated else 'c'} 4500")
    record.add_field(Field(tag="001", data="ocm1"), Field(tag="008", data=f"080417s2008    enk{' ' * 17}eng d"))
    fields = {
        "020": [("a", "0141439580 (hbk.) :"), ("c", "12.99 USD")],
        "1001": [("a", "Austen, Jane,"), ("d", "1775-1817.")],
        "245": [("a", "Emma :"), ("b", "a novel /"), ("c", "Jane Austen.")],
        "260": [("a", "London :"), ("b", "Penguin,"), ("c", "2003.")],
        "300": [("a", "xxxi, 474 p. ;")],
        "490": [("a", "Penguin classics ;"), ("v", "v. 7")],
        "520": [("a", "About Émma.")],
        "650": [("a", "Young women.")],
        "7001": [("a", "Translator, A."), ("e", "translator")],
    }
    for tag, subfields in (fields | changes).items():
        indicators = Indicators(tag[3:] or " ", " ")
        record.add_field(Field(tag=tag[:3], indicators=indicators, subfields=[Subfield(*each) for each in subfields]))
    return record


def as_marc8(record):
    """The same bytes as a library system of the nineties wrote them: É is an acute and an E."""
    data = record.as_marc().replace("É".encode(), b"\xe2E")
    return data[:9] + b" " + data[10:]


def test_a_library_record_is_read_without_its_punctuation():
    row = only("marc", marc().as_marc())
    assert {name: str(value) for name, value in shown(row).items()} == {
        "isbn": "9780141439587",
        "format": "hardcover",
        "title": "Emma",
        "subtitle": "a novel",
        "authors": "['Jane Austen']",
        "publisher": "Penguin",
        "published_year": "2003",
        "language": "en",
        "pages": "474",
        "series_name": "Penguin classics",
        "series_position": "7",
        "genres": "['Young women']",
        "description": "About Émma.",
        "price": "12.99",
    }


def test_marc8_is_read_and_utf8_that_says_it_were_marc8_too():
    assert only("marc", as_marc8(marc())).draft.description == "About Émma."
    data = marc().as_marc()
    row = only("marc", data[:9] + b" " + data[10:])
    assert (row.draft.description, [problem.is_fatal for problem in row.problems]) == ("About Émma.", [False])


def test_a_bad_record_costs_itself_only_and_comes_back(run, client, admin):
    good = marc().as_marc()
    windows = marc(coding=" ").as_marc().replace("É".encode(), b"\x96\xd0")
    windows = windows[:9] + b" " + windows[10:]
    other = marc(**{"020": [("a", "9780141439594"), ("c", "USD 1.00")]}).as_marc()
    done, _ = run(good + b"99999" + good[5:] + windows + b"0xyz\x1d" + b"\r\n" + other, format="marc")
    assert (done.rows, done.created, done.rejected) == (5, 2, 3)
    file = client.get(f"/api/v1/admin/imports/{done.id}/rejected", headers=admin).data
    assert file.count(b"\x1d") == 3


def test_several_isbns_name_the_first_and_a_doubt():
    record = marc(**{"020": [("a", "9780141439587")], "0200": [("a", "9780141439594 (ebook)")]})
    row = only("marc", record.as_marc())
    assert (row.draft.isbn, "9780141439594" in row.problems[0].message) == ("9780141439587", True)


def test_the_control_number_of_another_agency_is_no_code_of_ours():
    assert "code" not in shown(only("marc", marc().as_marc()))


def test_marcxml_is_read(run, client, admin):
    from pymarc import record_to_xml

    written = record_to_xml(marc(), namespace=True).decode()
    row = only("marc", f'<?xml version="1.0"?><collection>{written}</collection>'.encode())
    assert shown(row) == shown(only("marc", marc().as_marc()))
    assert only("marc", written.encode()).draft.title == "Emma"
    bad = written.replace("Emma :", "").replace("a novel /", "")
    done, _ = run(f"<collection>{bad}</collection>", format="marc")
    assert done.rejected == 1
    file = client.get(f"/api/v1/admin/imports/{done.id}/rejected", headers=admin).data
    assert len(read("marc", file)) == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"code,title\n", "not MARC"), (b"<html/>", "neither"), (BOMB.encode() + b"<collection/>", "DTD")],
)
def test_files_that_are_no_marc_are_refused(data, reason):
    with pytest.raises(FileRefused, match=reason):
        read("marc", data)


@pytest.mark.parametrize(
    ("inverted", "name"),
    [("Austen, Jane", "Jane Austen"), ("King, Martin Luther, Jr.", "Martin Luther King, Jr."), ("Homer", "Homer")],
)
def test_names_are_turned_round(inverted, name):
    assert upright(inverted) == name
