"""Imports: repair what proves itself, report the rest row by row, and change nothing the second time."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from catalog_service.domain import stock
from catalog_service.domain.imports import goodbooks
from catalog_service.domain.imports.reading import LONGEST_RECORD, FileRefused
from catalog_service.domain.imports.run import BATCH
from catalog_service.models import Author, Book
from common.events.catalog import BookAdded, BookChanged
from tests.catalog.conftest import replicated

GOODBOOKS = "book_id,goodreads_book_id,isbn,isbn13,authors,original_publication_year,original_title,title,language_code"
OWN = "code,isbn,title,subtitle,authors,genres,publisher,series_name,series_position,language,format,price,stock"

DIRTY = f"""{GOODBOOKS},average_rating,image_url
1,101,141439580,9.78014143959e+12,Jane Austen,1815.0,Emma,Emma,eng,4.0,https://example.com/1.jpg
2,102,439023483,9.78043902348e+12,Suzanne Collins,2008.0,,"The Hunger Games (The Hunger Games, #1)",en-US,4.3,
3,103,,,"Homer, Robert Fagles",-720.0,,The Odyssey,,3.7,
4,104,812971060,9.78081297106e+12,Azar Nafisi,2003.0,,Reading Lolita in Tehran,eng,3.6,
5,105,9380658797,97893806587.0,Amish,2012.0,,The Secret of the Nagas (Shiva Trilogy #2),eng,4.0,
6,106,,9.78067172365e+12,Lewis Carroll,1865.0,,Alice,mul,4.0,
7,107,446612707,9.78055381395e+12,Nicholas Sparks,soon,,Nights in Rodanthe,klingon,3.8,
8,108,141439580,9.78014143959e+12,Jane Austen,1815.0,Emma,Emma Again,eng,4.0,
9,109,,,Nobody,2000.0,,,eng,4.0,
10,101,,,Jane Austen,1815.0,,Emma the Third,eng,4.0,
11,111,,,O'Hara; DROP TABLE books,2000.0,,"L'Été, 100% ""dirty"" !",fre,4.0,
12,112,too,few
"""


@pytest.fixture
def books(database):
    def by_code():
        with database.read() as session:
            return {book.code: book for book in session.scalars(select(Book))}

    return by_code


def numbers(report):
    return report.rows, report.created, report.updated, report.unchanged, report.rejected


def test_what_can_be_repaired_goes_in(run, books):
    report, _ = run(DIRTY)
    found = books()
    assert numbers(report) == (12, 8, 0, 0, 4)
    emma, games, odyssey = found["GR-101"], found["GR-102"], found["GR-103"]
    assert (emma.isbn, emma.language, emma.published_year) == ("9780141439587", "en", 1815)
    assert (games.title, games.series_name, games.series_position) == ("The Hunger Games", "The Hunger Games", 1)
    assert (odyssey.author_names, odyssey.published_year, odyssey.language) == ("Homer; Robert Fagles", -720, None)
    assert found["GR-104"].isbn == "9780812971064"
    assert found["GR-105"].isbn is found["GR-106"].isbn is None
    assert (found["GR-107"].isbn, found["GR-107"].language) == ("9780446612708", None)
    assert found["GR-111"].title == 'L\'Été, 100% "dirty" !'
    assert all(book.price == goodbooks.plausible_price(code) for code, book in found.items())
    assert {book.on_hand for book in found.values()} == {goodbooks.DEFAULT_STOCK}


def test_every_rejected_row_and_every_doubt_is_named(run):
    _, problems = run(DIRTY)
    fatal = [(problem.row, problem.field) for problem in problems if problem.is_fatal]
    assert fatal == [(9, "isbn"), (10, "title"), (11, "code"), (13, "")]
    doubts = {(problem.row, problem.field) for problem in problems if not problem.is_fatal}
    assert doubts == {
        (5, "isbn"),
        (6, "isbn"),
        (7, "isbn13"),
        (8, "isbn13"),
        (8, "language_code"),
        (8, "original_publication_year"),
    }
    assert all(problem.message for problem in problems)


def test_the_second_run_changes_nothing_and_tells_nothing(run, database):
    run(DIRTY)
    before = replicated(database)
    assert [type(event) for event in before] == [BookAdded] * 8
    assert all(event.available == goodbooks.DEFAULT_STOCK for event in before)
    report, _ = run(DIRTY)
    assert numbers(report) == (12, 0, 0, 8, 4)
    assert replicated(database) == before


def test_imported_stock_is_in_the_ledger(run, database):
    run(DIRTY)
    with database.read() as session:
        assert stock.disagreements(session) == []


def test_a_dry_run_counts_the_same_and_leaves_nothing(run, database):
    report, _ = run(DIRTY, dry_run=True)
    assert numbers(report) == (12, 8, 0, 0, 4)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Book)) == 0
        assert session.scalar(select(func.count()).select_from(Author)) == 0
    assert replicated(database) == []


def test_what_the_shop_corrected_by_hand_stays_where_the_file_is_silent(run, client, admin, books):
    run(DIRTY)
    book = books()["GR-103"]
    client.patch(f"/api/v1/books/{book.id}", json={"language": "grc", "price": "3.50"}, headers=admin)
    client.patch(f"/api/v1/books/{book.id}/stock", json={"on_hand": 1}, headers=admin)
    report, _ = run(DIRTY)
    assert (report.updated, report.unchanged) == (0, 8)
    kept = books()["GR-103"]
    assert (kept.language, kept.price, kept.on_hand) == ("grc", Decimal("3.50"), 1)


def test_a_book_may_be_free(run, books):
    run("code,title,price\nA-1,Gift,0.00\n")
    assert books()["A-1"].price == 0


def test_our_own_columns_create_and_update(run, books, client, database):
    run(f'{OWN}\nA-1,0141439580,Emma,,Jane Austen,Novel;Classic,Dent,,,en,hardcover,"12.99",3\n')
    book = books()["A-1"]
    assert (book.price, book.format, book.on_hand) == (Decimal("12.99"), "hardcover", 3)
    shown = client.get(f"/api/v1/books/{book.id}").json
    assert [genre["name"] for genre in shown["genres"]] == ["Classic", "Novel"]
    report, _ = run(f"{OWN}\nA-1,0141439580,Emma,A novel,Jane Austen;Someone Else,Novel,,,,en,,11.50,9\n")
    assert (report.updated, report.unchanged) == (1, 0)
    shown = client.get(f"/api/v1/books/{book.id}").json
    assert (shown["subtitle"], shown["publisher"], shown["price"], shown["available"]) == ("A novel", None, "11.50", 3)
    assert [author["name"] for author in shown["authors"]] == ["Jane Austen", "Someone Else"]
    changed = replicated(database)[-1]
    assert isinstance(changed, BookChanged)
    assert (changed.version, changed.price, changed.available) == (2, Decimal("11.50"), 3)


def test_a_book_is_found_by_isbn_or_by_code_and_never_mistaken(run, add_book, books):
    add_book("Emma", code="A-1", isbn="9780141439587")
    add_book("Wuthering Heights", code="B-2", isbn="9780141439556")
    report, problems = run(
        "code,isbn,title,price\n"
        ",0-14-143955-6,Wuthering Heights,2.00\n"
        "C-3,9780141439587,Emma,3.00\n"
        "A-1,,Emma,4.00\n"  # the book of the row before, by its other name
    )
    assert [(problem.row, problem.field, problem.is_fatal) for problem in problems] == [
        (3, "code", False),
        (4, "code", True),
    ]
    assert numbers(report) == (3, 0, 2, 0, 1)
    found = books()
    assert {code: book.price for code, book in found.items()} == {"A-1": Decimal("3.00"), "B-2": Decimal("2.00")}
    assert found["A-1"].isbn == "9780141439587"


def test_the_code_of_one_book_and_the_isbn_of_another_is_neither(run, add_book, books):
    add_book("Emma", code="A-1", isbn="9780141439587")
    add_book("Wuthering Heights", code="B-2", isbn="9780141439556")
    report, problems = run("code,isbn,title,price\nA-1,9780141439556,Emma,1.00\n")
    assert (report.rejected, problems[0].field) == (1, "isbn")
    assert {book.price for book in books().values()} == {Decimal("9.99")}


def test_a_new_book_needs_a_title_and_a_price_and_one_without_names_gets_its_own(run, books):
    content = "code,title,authors,price\n,Odes,John Keats,5.00\nX-1,,,\nX-2,Untitled,,\n,Odes,John Keats,5.00\n"
    report, problems = run(content)
    assert numbers(report) == (4, 1, 0, 0, 3)
    named = {(problem.row, problem.field) for problem in problems}
    assert named == {(3, "title"), (3, "price"), (4, "price"), (5, "code")}
    assert run(content)[0].unchanged == 1
    assert len(books()) == 1


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("A-1,9780141439580,Emma,1.00,USD", "isbn"),
        ("A-1,,Emma,-1,USD", "price"),
        ("A-1,,Emma,1e12,USD", "price"),
        ("A-1,,Emma,12.999,USD", "price"),
        ("A-1,,Emma,NaN,USD", "price"),
        ("A-1,,Emma,1.00,EUR", "currency"),
        (f"A-1,,{'x' * 501},1.00,USD", "title"),
        ("A 1,,Emma,1.00,USD", "code"),
        ("A-1,,nul\x00,1.00,USD", "title"),
    ],
)
def test_a_field_out_of_bounds_rejects_its_row_only(run, row, field):
    report, problems = run(f"code,isbn,title,price,currency\n{row}\nB-2,,Good,1.00,USD\n")
    assert (report.created, report.rejected) == (1, 1)
    assert [(problem.row, problem.field) for problem in problems] == [(2, field)]


def test_bytes_that_are_not_utf8_reject_their_row_only(run):
    report, problems = run(b"code,title,price\nA-1,caf\xe9,1.00\nB-2,caf\xc3\xa9,1.00\n")
    assert (report.created, report.rejected, problems[0].field) == (1, 1, "title")


def test_a_byte_order_mark_capitals_and_semicolons_are_understood(run, books):
    run(b"\xef\xbb\xbfCode; Title;Price\r\nA-1;Emma, and others;12.99\r\n")
    assert books()["A-1"].title == "Emma, and others"


@pytest.mark.parametrize(
    "content", ["", "\n", "code,title,prise\nA-1,Emma,1\n", "price\n1\n", "code,title\n" + "x" * LONGEST_RECORD]
)
def test_a_file_that_is_none_of_ours_is_refused(run, content):
    with pytest.raises(FileRefused):
        run(content)


def test_more_rows_than_a_batch(run, books):
    rows = "".join(f"N-{number},Book {number},Author {number % 7},1.00\n" for number in range(2 * BATCH + 1))
    report, _ = run(f"code,title,authors,price\n{rows}")
    assert report.created == len(books()) == 2 * BATCH + 1


def test_imported_books_can_be_bought_and_found(run, client):
    run(DIRTY)
    (found,) = client.get("/api/v1/books?q=collins+hunger").json["items"]
    assert (found["isbn"], found["available"]) == ("9780439023481", goodbooks.DEFAULT_STOCK)
    assert UUID(found["authors"][0]["id"])


@pytest.mark.parametrize(
    ("title", "plain", "series", "position"),
    [
        ("Mort (Death, #1; Discworld, #4)", "Mort", "Death", 1),
        ("Night Play (Dark-Hunter #5, Were-Hunter #1)", "Night Play", "Dark-Hunter", 5),
        ("Box Set (Stephanie Plum, #3-4)", "Box Set", "Stephanie Plum", None),
        ("After (The Selection, #0.4, 0.5, 2.5)", "After", "The Selection", None),
        ("Sailor Moon, #1 (Sailor Moon, #1)", "Sailor Moon, #1", "Sailor Moon", 1),
        ("Ranma ½, Vol. 1 (Ranma ½ (US 2nd), #1)", "Ranma ½, Vol. 1", "Ranma ½ (US 2nd)", 1),
        ("Unveiled: Tamar (Lineage of Grace #1)", "Unveiled: Tamar", "Lineage of Grace", 1),
        ("Half (Series, #2.5)", "Half", "Series", Decimal("2.5")),
        ("I Am America (And So Can You!)", "I Am America (And So Can You!)", None, None),
        ("#GIRLBOSS", "#GIRLBOSS", None, None),
        ("(#1)", "(#1)", None, None),
        ("", "", None, None),
    ],
)
def test_series_come_out_of_titles(title, plain, series, position):
    found = goodbooks.split_title(title)
    assert (found["title"], found.get("series_name"), found.get("series_position")) == (plain, series, position)


def test_authors_come_apart_at_commas_but_keep_their_suffixes():
    assert goodbooks.split_authors("Kurt Vonnegut, Jr., Homer,, Homer") == ["Kurt Vonnegut, Jr.", "Homer"]


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_no_title_breaks_the_split(title):
    assert goodbooks.split_title(title)["title"] in title
