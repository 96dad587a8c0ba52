"""A service's application in the test's process, answering with a real database behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from common.db import Database
from tests.support import tokens
from tests.support.database import empty


def service_application(create_app: Callable[..., Flask]) -> Any:
    """A fixture: the application, which trusts the tests' signing key. All its tables are emptied after each test."""

    @pytest.fixture
    def app(config: Any, database: Database) -> Iterator[Flask]:
        made = create_app(config, keys=tokens.keys)
        made.extensions["database"].close()
        made.extensions["database"] = database  # one pool for the test and the application
        yield made
        empty(database)

    return app


def service_client() -> Any:
    """A fixture: a client of the fixture `app`."""

    @pytest.fixture
    def client(app: Flask) -> FlaskClient:
        return app.test_client()

    return client
