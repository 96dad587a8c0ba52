"""Pages of public clients may call the OAuth endpoints from a browser; nobody else's may."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from auth_service.api.cors import METHODS
from auth_service.domain import clients
from common.db import Database

APP = "https://app.example"
ASKED = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}


@pytest.fixture(autouse=True)
def registered(app: Flask, database: Database) -> None:
    """A public client at APP, and a confidential one at another origin."""
    browser = clients.Metadata(
        "browser", [f"{APP}/callback?x=1", "com.example.app:/back"], token_endpoint_auth_method=clients.PUBLIC
    )
    server = clients.Metadata("server", ["https://server.example/callback"])
    with database.transaction() as opened:
        for each in (browser, server):
            clients.create(opened, each, own_origin="http://localhost:8000")


@pytest.mark.parametrize("path", METHODS)
def test_a_public_clients_pages_may_call(client: FlaskClient, path: str) -> None:
    asked = client.options(path, headers={"Origin": APP, **ASKED})
    assert asked.status_code == 200
    assert asked.headers["Access-Control-Allow-Origin"] == APP
    assert asked.headers["Access-Control-Allow-Methods"] == METHODS[path]
    assert "DPoP" in asked.headers["Access-Control-Allow-Headers"]
    answer = client.open(path, method=METHODS[path].split(", ")[0], headers={"Origin": APP})
    assert answer.headers["Access-Control-Allow-Origin"] == APP, "also when it is an error"
    assert "Origin" in answer.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin",
    [
        "https://server.example",
        "https://app.example.evil.example",
        "https://app.exampl",
        "https://app",
        "http://app.example",
        "https://app.example:8443",
        "https://app.example/callback",
        "https://app.example/",
        "com.example.app:",
        "https://%",
        "https://a_p.example",
        "null",
        "*",
        "https://",
        "\\",
        "https://x\x00",
    ],
)
def test_nobody_elses_may(client: FlaskClient, origin: str) -> None:
    for method in ("OPTIONS", "POST"):
        answer = client.open("/token", method=method, headers={"Origin": origin, **ASKED})
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
        assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize("path", ["/authorize", "/par", "/introspect", "/api/v1/auth/login", "/account/sign-in"])
def test_no_page_may_call_the_rest(client: FlaskClient, path: str) -> None:
    answer = client.options(path, headers={"Origin": APP, **ASKED})
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
