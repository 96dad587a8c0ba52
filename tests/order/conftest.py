from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient

from common.db import Database
from common.events.catalog import BookAdded
from common.ids import new_id
from order_service.app import create_app
from order_service.config import OrderConfig
from order_service.events import HANDLERS
from tests.order.shop import Shop
from tests.support.database import deliver, rolled_back_session, service_config, service_database
from tests.support.service import service_application

config = service_config(OrderConfig, CATALOG_URL="http://127.0.0.1:1", AUTH_URL="http://127.0.0.1:1")
database = service_database()
session = rolled_back_session()
app = service_application(create_app)


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    yield app.test_client()
    app.extensions["decisions"].close()


@pytest.fixture
def book(database: Database) -> UUID:
    """A book of 12.99 of which 10 can be had."""
    book_id = new_id()
    deliver(database, HANDLERS, told(book_id))
    return book_id


def told(book_id: UUID, **changes: object) -> BookAdded:
    state = {"version": 1, "code": "B-1", "title": "Middlemarch", "price": Decimal("12.99"), "currency": "USD"}
    state |= {"is_active": True, "available": 10, **changes}
    return BookAdded(book_id=book_id, **state)


@pytest.fixture
def shop(client: FlaskClient, database: Database) -> Shop:
    return Shop(client, database)
