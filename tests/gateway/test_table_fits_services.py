"""The route table against what the services really have."""

from __future__ import annotations

import importlib
from collections import Counter

import pytest
from flask import Flask
from werkzeug.routing import Rule

from common.api import operation
from gateway.routes import DESCRIBED_BY, Route, RouteTable
from tests.support import tokens
from tests.test_architecture import SERVICES, settings

INSIDE = ("/internal/", "/livez", "/readyz", "/metrics", "/openapi.json", "/static/")


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> tuple[str, Flask]:
    name = request.param
    return name, importlib.import_module(f"{name}_service.app").create_app(settings(name), keys=tokens.keys)


def route_of(rule: Rule) -> Route | None:
    return RouteTable().find(rule.rule)


def test_every_route_of_a_service_can_be_reached_and_nothing_inside(service: tuple[str, Flask]) -> None:
    name, app = service
    wrong = []
    for rule in app.url_map.iter_rules():
        route = route_of(rule)
        reached = route is not None and DESCRIBED_BY.get(route.service, route.service) == name
        if reached == rule.rule.startswith(INSIDE):
            wrong.append(rule.rule)
    assert wrong == []


def test_the_gateway_asks_for_no_token_that_the_service_does_not_want(service: tuple[str, Flask]) -> None:
    _, app = service
    locked = []
    for rule in app.url_map.iter_rules():
        route = route_of(rule)
        if route and (rule.endpoint.endswith("static") or operation(app.view_functions[rule.endpoint]).is_public):
            locked += [(method, rule.rule) for method in rule.methods or () if route.access.needs_token(method)]
    assert locked == []


def test_clients_can_call_every_operation_and_schema_by_a_name_of_its_own() -> None:
    apps = [importlib.import_module(f"{name}_service.app") for name in SERVICES]
    apps = [app.create_app(settings(name), keys=tokens.keys) for app, name in zip(apps, SERVICES, strict=True)]
    documents = [app.test_client().get("/openapi.json").json for app in apps]
    names = [
        described["operationId"]
        for document in documents
        for operations in document["paths"].values()
        for described in operations.values()
    ]
    assert [name for name, times in Counter(names).items() if times > 1] == []
    assert {"listBooks", "placeOrder", "createClient", "listAuthors", "listGenres", "refundOrder"} <= set(names)
    schemas = [name for document in documents for name in document["components"]["schemas"]]
    assert [name for name in [*names, *schemas] if not name.isalnum()] == []
