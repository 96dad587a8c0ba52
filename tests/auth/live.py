"""A running auth service and a person's browser, for clients that other people wrote."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urljoin

import requests
from werkzeug.serving import make_server

from auth_service.app import create_app
from auth_service.config import AuthConfig
from common.db import Database
from tests.auth.support import hidden_fields
from tests.support.database import empty
from tests.support.serving import serving


@contextmanager
def running_issuer(config: AuthConfig, database: Database, **changes: Any) -> Iterator[str]:
    """Its address."""
    server = make_server("127.0.0.1", 0, lambda *_: [], threaded=True)
    url = f"http://127.0.0.1:{server.server_port}"
    app = create_app(replace(config, public_url=url, **changes))
    app.extensions["database"].close()
    app.extensions["database"] = database
    server.app = app
    try:
        with serving(server):
            yield url
    finally:
        empty(database)


def visit(url: str, user: dict[str, Any], browser: requests.Session | None = None) -> str:
    """What a person's browser does with an authorization URL; the address at which it ends up."""
    browser = browser or requests.Session()
    page = browser.get(url, timeout=5)
    fields = hidden_fields(page.text) | {"identifier": user["username"], "password": user["password"]}
    answer = browser.post(page.url.split("?")[0], data=fields, timeout=5, allow_redirects=False)
    onward = urljoin(page.url, answer.headers["Location"])
    return browser.get(onward, allow_redirects=False, timeout=5).headers["Location"]
