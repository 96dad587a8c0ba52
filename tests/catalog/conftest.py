"""The catalog on a real Postgres: its domain in a transaction that is undone, its API as a client sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from catalog_service.app import create_app
from catalog_service.config import CatalogConfig
from catalog_service.domain import stock
from common.db import Database
from common.events import Event
from common.events.administration import CatalogAdminActed
from tests.support.database import emitted, rolled_back_session, service_config, service_database
from tests.support.service import service_application, service_client
from tests.support.tokens import bearer

config = service_config(CatalogConfig)
database = service_database()
session = rolled_back_session()
app = service_application(create_app)
client = service_client()


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


def replicated(database: Database) -> list[Event]:
    """What other services' copies are told: all that was recorded but for what the staff did."""
    return [event for event in emitted(database) if not isinstance(event, CatalogAdminActed)]
