"""The catalog's own commands, and the document of its API."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from openapi_spec_validator import validate
from sqlalchemy import text

from catalog_service.commands import check_ledger, export_books, import_books, undo_import
from catalog_service.config import CatalogConfig
from common.config import ConfigError
from common.events.administration import CatalogAdminActed
from tests.catalog.test_import import DIRTY
from tests.support.database import emitted, environment


@pytest.fixture
def invoke(admin_database_url, app):
    def run(command, *arguments):
        return CliRunner().invoke(command, arguments, env=environment(admin_database_url, CatalogConfig.schema))

    return run


def test_import_says_what_became_of_every_row(invoke, tmp_path):
    file = tmp_path / "books.csv"
    file.write_text(DIRTY, encoding="utf-8")
    dry = invoke(import_books, str(file), "--dry-run")
    assert "dry run: 12 rows: 8 created, 0 updated, 0 unchanged, 4 rejected, 6 warnings" in dry.output
    first = invoke(import_books, str(file))
    assert (first.exit_code, "\n12 rows: 8 created" in first.output) == (0, True)
    assert "row 9: rejected: isbn: 9780141439587 is repeated from row 2" in first.output
    assert "row 10: rejected: title: " in first.output
    assert "\n12 rows: 0 created, 0 updated, 8 unchanged, 4 rejected" in invoke(import_books, str(file)).output
    assert invoke(check_ledger).exit_code == 0


def test_a_file_with_other_columns_is_refused(invoke, tmp_path):
    file = tmp_path / "books.csv"
    file.write_text("code,title,prise\n", encoding="utf-8")
    refused = invoke(import_books, str(file))
    assert (refused.exit_code, "prise" in refused.output) == (1, True)


@pytest.mark.parametrize("suffix", ["csv", "xml", "mrc"])
def test_an_export_by_command_is_imported_again_without_a_change(invoke, add_book, tmp_path, suffix):
    add_book("L'Été", code="A-1", price="12.99", authors=["O'Hara; Jr."])
    file = tmp_path / f"books.{suffix}"
    assert invoke(export_books, str(file)).exit_code == 0
    assert "1 rows: 0 created, 0 updated, 1 unchanged, 0 rejected, 0 warnings" in invoke(import_books, str(file)).output


def test_an_import_is_undone_however_its_numbers_were_written(invoke, tmp_path, add_book):
    add_book("Persuasion", code="A-2", price="3.00")
    file = tmp_path / "books.csv"
    rows = "A-1,Emma,12.5,Novels,1\nA-2,Persuasion,7,Novels,2.50\nA-3,Sanditon,1,,\n"
    file.write_text(f"code,title,price,series_name,series_position\n{rows}", encoding="utf-8")
    id = invoke(import_books, str(file)).output.split()[-1]
    assert "1 restored, 2 off sale again, 0 kept" in invoke(undo_import, id).output


def test_bad_rows_are_written_to_a_file_and_an_import_is_undone_by_command(invoke, tmp_path, database):
    file, bad = tmp_path / "books.csv", tmp_path / "bad.csv"
    file.write_text("code,title,price\nA-1,Emma,12.99\nA-2,,1.00\n", encoding="utf-8")
    done = invoke(import_books, str(file), "--bad-rows", str(bad))
    assert bad.read_text(encoding="utf-8").splitlines() == ["code,title,price", "A-2,,1.00"]
    id = done.output.split()[-1]
    assert "0 restored, 1 off sale again, 0 kept" in invoke(undo_import, id).output
    assert invoke(undo_import, id).exit_code == 1
    acts = [event for event in emitted(database) if isinstance(event, CatalogAdminActed)]
    assert [(act.action, act.actor_id) for act in acts] == [
        ("import.completed", "operator"),
        ("import.undo_requested", "operator"),
        ("import.undone", "operator"),
    ]


@pytest.mark.parametrize("format", ["csv", "onix", "marc"])
@pytest.mark.parametrize("name", ["books", "books.dat"])
def test_a_file_whose_name_says_nothing_is_known_by_its_content(invoke, add_book, tmp_path, format, name):
    add_book("Emma", price="12.99")
    file = tmp_path / name
    assert "--format" in invoke(export_books, str(file)).output
    assert invoke(export_books, str(file), "--format", format).exit_code == 0
    assert "1 rows: 0 created, 0 updated, 1 unchanged" in invoke(import_books, str(file)).output


def test_xml_may_be_onix_or_marc(invoke, tmp_path):
    file = tmp_path / "records.xml"
    file.write_text('<collection xmlns="http://www.loc.gov/MARC21/slim"></collection>', encoding="utf-8")
    done = invoke(import_books, str(file))
    assert (done.exit_code, "0 rows" in done.output) == (0, True)


def test_a_file_that_does_not_tell_its_format_needs_to_be_told(invoke, tmp_path):
    file = tmp_path / "books"
    file.write_text("code,title,prise\nA-1,Emma,1.00\n", encoding="utf-8")
    assert "--format" in invoke(import_books, str(file)).output
    assert "prise" in invoke(import_books, str(file), "--format", "csv").output


def test_check_ledger_names_the_book_and_fails(invoke, add_book, database):
    book = add_book(code="WRONG", stock=2)
    with database.transaction() as session:
        session.execute(text("UPDATE books SET on_hand = 3 WHERE id = :id"), {"id": book["id"]})
    checked = invoke(check_ledger)
    assert checked.exit_code == 1
    assert "WRONG: on_hand 3 (ledger 2)" in checked.output


def test_a_currency_is_three_letters():
    with pytest.raises(ConfigError, match="CURRENCY"):
        CatalogConfig.from_env({"CURRENCY": "dollars"})


def test_the_document_of_the_api_is_valid(client):
    document = client.get("/openapi.json").json
    validate(document)
    assert "/api/v1/books/{id}/stock" in document["paths"]
    assert not any(path.startswith("/internal") for path in document["paths"])
