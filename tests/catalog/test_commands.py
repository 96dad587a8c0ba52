"""The catalog's own commands, and the document of its API."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from openapi_spec_validator import validate
from sqlalchemy import text

from catalog_service.commands import check_ledger, import_books
from catalog_service.config import CatalogConfig
from common.config import ConfigError
from tests.catalog.test_import import DIRTY
from tests.support.database import environment


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
