"""Whatever the catalogue holds: its export, imported again, changes nothing, in every format."""

from __future__ import annotations

import io
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from catalog_service.domain import exports, fields
from catalog_service.domain.imports import columns, jobs, undo
from catalog_service.domain.imports.draft import Row
from catalog_service.domain.imports.formats import FORMATS
from catalog_service.domain.imports.reading import WHITE_SPACE
from catalog_service.domain.imports.upsert import upsert
from catalog_service.domain.isbn import from_stem
from catalog_service.domain.search import Filters
from common import spreadsheets
from common.db import utcnow
from tests.support.tokens import bearer

FORMULAS = ["=1+1", "'=1+1", "''@x", "-30-", "'Salem's Lot", "O'Hara; Jr.", "a\\", "\\;", '"', "12,99", "e\u0301"]
MARKUP = [
    "a\r\nb",
    "a\rb",
    "<b>&amp;",
    "]]>",
    "c\x1cd",
    "\x1e",
    "a\x0bb",
    "\ufeffx",
    "\ufffe",
    "a /",
    "Title.",
    "e\u0301",
]
NASTY = st.sampled_from(FORMULAS + MARKUP)
ANY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)


def texts(longest=60):
    trimmed = (ANY | NASTY | st.tuples(NASTY, ANY).map("".join)).map(lambda value: value.strip(WHITE_SPACE)[:longest])
    return trimmed.map(lambda value: value.strip(WHITE_SPACE)).filter(bool)


maybe = lambda strategy: st.none() | strategy  # noqa: E731
NAMES = st.lists(texts(), max_size=4, unique=True)
MONEY = st.decimals(0, 9_999_999, places=2)


@st.composite
def book(draw, number):
    series = draw(maybe(texts()))
    position = maybe(st.decimals(0, Decimal("99999.99"), places=2))
    stem = draw(maybe(st.integers(0, 999_999)))
    return {
        "code": f"B-{number}",
        "isbn": None if stem is None else from_stem(f"{stem:07d}{number:02d}"),
        "title": draw(texts()),
        "subtitle": draw(maybe(texts())),
        "description": draw(maybe(texts() | st.just("x" * 20_000))),
        "authors": draw(NAMES),
        "genres": draw(NAMES),
        "publisher": draw(maybe(texts())),
        "series_name": series,
        "series_position": draw(position) if series else None,
        "language": draw(maybe(st.sampled_from(["en", "de", "fr", "bo", "fil", "grc"]))),
        "format": draw(st.sampled_from(["paperback", "hardcover", "ebook", "audiobook"])),
        "pages": draw(maybe(st.integers(1, 100_000))),
        "published_year": draw(maybe(st.integers(-5000, utcnow().year + fields.YEARS_AHEAD).filter(bool))),
        "price": draw(MONEY),
        "cost_price": draw(maybe(MONEY)),
        "low_stock_threshold": draw(st.integers(0, 1000)),
    }


BOOKS = st.integers(0, 4).flatmap(lambda count: st.tuples(*(book(number) for number in range(count))))


def export(database, format, **limits):
    return b"".join(exports.stream(database.transaction(), exports.statement(Filters(), **limits), format))


@pytest.fixture
def fill(database, app):
    def put(books):
        with database.transaction() as session:
            session.execute(text("TRUNCATE books, authors, genres, imports, outbox CASCADE"))
            rows = [Row.parse(number, values) for number, values in enumerate(books, start=1)]
            upsert(session, rows, dict, currency="USD", actor="test")

    return put


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(BOOKS)
def test_an_export_imported_again_changes_nothing(fill, run, database, format, books):
    fill(books)
    before = export(database, "csv")
    done, problems = run(export(database, format) or b"00000", format=format) if books else (None, [])
    assert problems == []
    assert done is None or (done.rows, done.unchanged) == (len(books), len(books))
    assert export(database, "csv") == before


@pytest.mark.parametrize("format", FORMATS)
def test_an_export_into_an_empty_catalogue_brings_the_books_back(fill, run, database, format):
    emma = {"code": "A-1", "isbn": "9780141439587", "title": "Emma", "subtitle": "A novel", "authors": ["Jane Austen"]}
    emma |= {"genres": ["Classics", "Novels"], "publisher": "Murray", "series_name": "Works", "series_position": "4"}
    emma |= {"language": "en", "format": "hardcover", "pages": 474, "published_year": 1815, "price": "12.99"}
    emma |= {"description": 'About "Emma" & others.'}
    other = {"code": "A-2", "title": "L'Été", "authors": ["O'Hara; Jr.", "山田"], "price": "0.00", "format": "ebook"}
    fill([emma, other])
    before, sent = export(database, "csv"), export(database, format)
    fill([])
    done, problems = run(sent, format=format)
    assert ((done.created, done.rejected), problems) == ((2, 0), [])
    assert export(database, "csv") == before


@pytest.fixture
def withdrawn_and_draft(client, admin, add_book):
    """A book that was taken off sale, and one that a suggestion made, which has no price yet."""
    gone = add_book("Gone", code="GONE", price="0.00")
    assert client.delete(f"/api/v1/books/{gone['id']}", headers=admin).status_code == 204
    wish = {"title": "Wished for", "author": "Ann Author", "isbn": "9780141439587"}
    id = client.post("/api/v1/suggestions", json=wish, headers=bearer()).json["id"]
    decided = client.post(f"/api/v1/admin/suggestions/{id}/approve", headers=admin)
    return decided.json["book_id"]


def restore(client, admin, id):
    answer = client.post(f"/api/v1/books/{id}/restore", headers=admin)
    return answer.status_code, answer.json.get("code")


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_off_sale_and_without_a_price_comes_back_so(
    fill, run, client, admin, database, withdrawn_and_draft, format
):
    sent, before = (export(database, each, is_active=False) for each in (format, "csv"))
    done, problems = run(sent, format=format)
    assert ((done.rows, done.unchanged), problems) == ((2, 2), [])
    assert restore(client, admin, withdrawn_and_draft) == (409, "price_needed")
    fill([])
    done, problems = run(sent, format=format)
    assert ((done.created, done.rejected), problems) == ((2, 0), [])
    assert client.get("/api/v1/books").json["items"] == []
    assert export(database, "csv") == before
    again = {book["title"]: book for book in client.get("/api/v1/books/inactive", headers=admin).json["items"]}
    assert restore(client, admin, again["Wished for"]["id"]) == (409, "price_needed")
    assert restore(client, admin, again["Gone"]["id"])[0] == 200


@pytest.mark.parametrize("format", FORMATS)
def test_an_import_takes_no_book_off_sale_and_puts_none_on(fill, run, client, admin, add_book, database, format):
    book = add_book("Emma", code="A-1")
    path = f"/api/v1/books/{book['id']}"
    on_sale = export(database, format)
    client.delete(path, headers=admin)
    off_sale = export(database, format)
    assert run(on_sale, format=format)[0].unchanged == 1
    assert client.get(path).status_code == 404
    restore(client, admin, book["id"])
    assert run(off_sale, format=format)[0].unchanged == 1
    assert client.get(path).status_code == 200


def test_a_draft_whose_import_was_undone_does_not_go_on_sale_by_another(run, client, admin, database):
    content = "code,title,price,is_active\nA-1,Emma,,false\n"
    done, _ = run(content)
    client.post(f"/api/v1/admin/imports/{done.id}/undo", headers=admin)
    with database.transaction() as session:
        job = jobs.claim_here(session, done.id)
    undo.run(database.transaction, job)
    for again in (content, "code,title\nA-1,Emma\n"):
        assert run(again)[0].unchanged == 1
    assert client.get("/api/v1/books").json["items"] == []


def test_a_new_book_without_a_price_is_a_draft_or_is_rejected(run, client, admin):
    rows = ["A-1,One,,false", "A-2,Two,,", "A-3,Three,,TRUE", "A-4,Four,1.00,FALSCH", "A-5,Five,1.00,no", "A-6,Six,1,"]
    done, problems = run("\n".join(["code,title,price,is_active", *rows]))
    assert (done.created, done.rejected) == (4, 2)
    assert [(problem.row, problem.field, problem.is_fatal) for problem in problems] == [
        (3, "price", True),
        (4, "price", True),
        (5, "is_active", False),
    ]
    assert [book["title"] for book in client.get("/api/v1/books").json["items"]] == ["Six"]


def test_a_price_keeps_its_cents_in_every_format(fill, run, database):
    fill([{"code": "A-1", "title": "Emma", "price": "12.99"}])
    for format in FORMATS:
        assert run(export(database, format), format=format)[0].unchanged == 1
        assert b"12.99" in export(database, format)
        assert b"1299" not in export(database, format)


def test_no_cell_is_a_formula(fill, database):
    fill([{"code": "A-1", "title": "=HYPERLINK(1)", "authors": ["@x", "+y"], "publisher": "-z", "price": "1.00"}])
    header, row = export(database, "csv").decode().splitlines()
    cells = dict(zip(header.split(","), row.split(","), strict=True))
    assert (cells["title"], cells["publisher"], cells["authors"]) == ("'=HYPERLINK(1)", "'-z", "'@x;+y")


@pytest.mark.parametrize(
    "text",
    [
        "=1",
        "\uff1d1",
        "\uff0b1",
        "\uff0d1",
        "\uff20a",
        "\t=1",
        " \u00a0=1",
        "\u3000\uff1d1",
        "\ufeff=1",
        "\u200b@a",
        "\n=1",
        "\tx",
    ],
)
def test_whatever_a_spreadsheet_would_calculate_gets_an_apostrophe(text):
    assert spreadsheets.as_cell(text) == f"'{text}"
    assert spreadsheets.as_text(f"'{text}") == text


def test_programs_can_have_the_texts_as_they_are(client, admin, add_book):
    add_book("=1+1", code="A-1")
    for query, title in (("", "'=1+1"), ("?raw=true", "=1+1")):
        rows = client.get(f"/api/v1/admin/exports/books{query}", headers=admin).data.decode().splitlines()
        assert rows[1].split(",")[2] == title


@settings(max_examples=300, deadline=None)
@given(st.lists(texts()), texts())
def test_cells_are_read_as_they_were_written(names, value):
    assert columns.split(columns.join(names)) == names
    assert spreadsheets.as_text(spreadsheets.as_cell(value)) == value


def test_an_export_has_all_books_and_filters_come_before_the_limit(client, admin, add_book, database):
    for number in range(30):
        add_book(f"Book {number}", code=f"N-{number}", publisher="Dent" if number >= 15 else "Knopf")
    gone = client.get("/api/v1/books?q=29").json["items"][0]["id"]
    client.delete(f"/api/v1/books/{gone}", headers=admin)

    def codes(query=""):
        answer = client.get(f"/api/v1/admin/exports/books?{query}", headers=admin)
        assert answer.status_code == 200, answer.json
        return [line.split(",")[0] for line in answer.data.decode().splitlines()[1:]]

    assert codes() == [f"N-{number}" for number in range(30)]
    assert codes("publisher=Dent&limit=2") == ["N-15", "N-16"]
    assert codes("is_active=false") == ["N-29"]
    assert len(codes("is_active=true&format=csv")) == 29
    assert client.get("/api/v1/admin/exports/books?format=pdf", headers=admin).status_code == 422


@pytest.mark.parametrize(
    ("format", "kind"), [("csv", "text/csv"), ("onix", "application/xml"), ("marc", "application/marc")]
)
def test_an_export_is_an_attachment_of_its_kind(client, admin, add_book, format, kind):
    add_book()
    answer = client.get(f"/api/v1/admin/exports/books?format={format}", headers=admin)
    assert answer.content_type.startswith(kind)
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
    assert len(io.BytesIO(answer.data).read()) > 20
