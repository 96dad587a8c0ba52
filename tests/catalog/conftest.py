"""The catalog on a real Postgres: its domain in a transaction that is undone, its API as a client sees it."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient

from catalog_service.app import create_app
from catalog_service.config import CatalogConfig
from catalog_service.domain import stock
from catalog_service.domain.imports import jobs
from catalog_service.domain.imports.draft import Problem
from catalog_service.domain.imports.formats import FORMATS
from catalog_service.domain.imports.run import Import
from catalog_service.models import ImportJob
from common.db import Database
from common.events import Event
from common.events.administration import CatalogAdminActed
from tests.support.database import emitted, rolled_back_session, service_config, service_database
from tests.support.service import service_application, service_client
from tests.support.tokens import bearer

FILES = Path(tempfile.mkdtemp(prefix="bookstore-files-"))
config = service_config(CatalogConfig, STORAGE_URL=f"file://{FILES}")
database = service_database()
session = rolled_back_session()
app = service_application(create_app)
client = service_client()


@pytest.fixture(scope="session", autouse=True)
def no_files_left() -> Iterator[None]:
    yield
    shutil.rmtree(FILES, ignore_errors=True)


@pytest.fixture
def admin() -> dict[str, str]:
    return bearer(role="admin")


@pytest.fixture
def add_book(client: FlaskClient, admin: dict[str, str]) -> Callable[..., dict[str, Any]]:
    """Adds a book by the API, with `stock` of it."""

    def add(title: str = "Emma", *, stock: int = 0, **fields: Any) -> dict[str, Any]:
        answer = client.post("/api/v1/books", json={"title": title, "price": "9.99", **fields}, headers=admin)
        assert answer.status_code == 201, answer.json
        if stock:
            path = f"/api/v1/books/{answer.json['id']}/stock"
            received = client.patch(path, json={"delta": stock, "reason": "delivery"}, headers=admin)
            assert received.status_code == 200, received.json
        return answer.json

    return add


@pytest.fixture
def stock_of(database: Database) -> Callable[[Any], tuple[int, int]]:
    """A book's on_hand and reserved."""

    def figures(book_id: Any) -> tuple[int, int]:
        with database.read() as session:
            found = stock.figures(session, UUID(str(book_id)))
        return found["on_hand"], found["reserved"]

    return figures


@pytest.fixture
def run(database: Database, app: Flask) -> Callable[..., tuple[ImportJob, list[Problem]]]:
    """Imports text or bytes as the command does; gives the finished import and its problems."""

    def run_import(content: str | bytes, *, format: str = "csv", dry_run: bool = False) -> Any:
        data = content.encode() if isinstance(content, str) else content
        problems: list[Problem] = []
        importing = Import(database.transaction, "USD", on_batch=lambda result: problems.extend(result.problems))
        reader = FORMATS[format].reader(io.BytesIO(data), importing.count_read)
        with database.transaction() as session:
            named: dict[str, Any] = {"format": format, "filename": "books", "size": len(data)}
            job = jobs.begin_here(session, dry_run=dry_run, actor="operator", **named)
        importing.run(job, reader)
        with database.transaction() as session:
            return jobs.finish(session, job), problems

    return run_import


def replicated(database: Database) -> list[Event]:
    """What other services' copies are told: all that was recorded but for what the staff did."""
    return [event for event in emitted(database) if not isinstance(event, CatalogAdminActed)]
