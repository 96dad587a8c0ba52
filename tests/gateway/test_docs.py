"""What the gateway says about the whole: health, OpenAPI, AsyncAPI, metrics."""

from __future__ import annotations

import gzip
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest
import requests
from openapi_spec_validator import validate

from common.events import published
from gateway import asyncapi
from gateway.config import GatewayConfig
from gateway.health import StoreHealth
from gateway.openapi import merge
from tests.gateway.conftest import GATEWAY_SECRETS, RunningGateway
from tests.support.waiting import eventually


def service_document(path: str, other: str) -> dict[str, Any]:
    answer = {
        "description": "x",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ItemList"}}},
    }
    item = {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Item"}}}
    operation = {"operationId": f"at{path}", "responses": {"200": answer}}
    problem = {"type": "object"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "x", "version": "1"},
        "paths": {path: {"get": operation}, other: {"get": {"responses": {"200": {"description": "x"}}}}},
        "components": {
            "schemas": {"Item": item, "ItemList": {"type": "array", "items": item}, "Problem": problem},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def test_documents_merge_without_mixing_names() -> None:
    merged = merge(
        {
            "catalog": service_document("/api/v1/books", "/internal/books"),
            "review": service_document("/api/v1/reviews", "/api/v1/books"),
        }
    )
    validate(merged)
    assert set(merged["paths"]) == {"/api/v1/books", "/api/v1/reviews"}
    assert set(merged["components"]["schemas"]) == {
        *(f"{service}.{name}" for service in ("catalog", "review") for name in ("Item", "ItemList")),
        "Problem",
    }
    operations = [operation["operationId"] for path in merged["paths"].values() for operation in path.values()]
    assert sorted(operations) == ["at/api/v1/books", "at/api/v1/reviews"]
    assert "#/components/schemas/review.ItemList" in orjson.dumps(merged).decode()


def test_the_merged_document_is_served(gateway: RunningGateway) -> None:
    document = orjson.dumps(service_document("/api/v1/books", "/internal/books"))
    gateway.services["catalog"].on("/openapi.json", lambda exchange: exchange.answer(document))
    wrong = b'{"title": "Internal Server Error", "paths": {"/api/v1/reviews": {}}}'
    gateway.services["review"].on("/openapi.json", lambda exchange: exchange.answer(wrong, b"500 Wrong"))
    gateway.services["order"].on("/openapi.json", lambda exchange: exchange.answer(b"nonsense"))
    reply = gateway.ask("GET", "/api/openapi.json")
    own = ["/bff/callback", "/bff/login", "/bff/logout", "/bff/session"]
    assert (reply.status, list(reply.json()["paths"])) == (200, ["/api/v1/books", *own])
    validate(reply.json())


def test_the_events_are_described() -> None:
    described = asyncapi.document()
    assert described["asyncapi"].startswith("3.")
    assert set(described["channels"]) == set(published()) | {"live.events", "live.socketio"}
    references = set(re.findall(r'"\$ref":"#/([^"]+)"', orjson.dumps(described).decode()))
    for reference in references:
        node: Any = described
        for part in reference.split("/"):
            node = node[part]
    assert any(reference.startswith("components/schemas/orders.") for reference in references)


def test_the_events_are_served(gateway: RunningGateway) -> None:
    assert gateway.ask("GET", "/api/asyncapi.json").json()["components"]["messages"]["orders.order_placed.v1"]


def test_whoever_opens_the_address_is_shown_what_there_is(gateway: RunningGateway) -> None:
    reply = gateway.ask("GET", "/")
    assert (reply.status, reply.fields["Location"]) == (302, "/api/docs")


def test_the_page_runs_no_inline_script(gateway: RunningGateway) -> None:
    page = gateway.ask("GET", "/api/docs")
    assert "script-src 'self';" in page.fields["Content-Security-Policy"]
    assert page.fields.get_all("Content-Security-Policy") == [page.fields["Content-Security-Policy"]]
    assert not re.search(rb"<script(?![^>]* src=)|<style|\son\w+=", page.body)
    for asset in re.findall(r'(?:src|href)="(/api/docs/[^"]+)"', page.body.decode()):
        assert gateway.ask("GET", asset).status == 200


@pytest.mark.parametrize("name", ["index.css", "..%2fdocs.html", "__init__.py", "swagger-ui.js.map"])
def test_no_other_file_is_served(gateway: RunningGateway, name: str) -> None:
    assert gateway.ask("GET", f"/api/docs/{name}").status in (400, 404)


def test_metrics_are_not_public(gateway: RunningGateway) -> None:
    gateway.ask("GET", "/api/v1/books/1")
    assert gateway.ask("GET", "/metrics").status == 404
    metrics = requests.get(f"http://127.0.0.1:{gateway.metrics_port}/metrics", timeout=5).text
    assert 'route="/api/v1/books/*"' in metrics
    assert "/api/v1/books/1" not in metrics


def test_health_tells_of_every_process(gateway: RunningGateway) -> None:
    worker = gateway.services["worker"]
    gauges = b"bus_up 1.0\noutbox_age_seconds 0.5\noutbox_depth 3.0\ninbox_depth 0.0\ndead_letters 1.0\n"
    worker.on("/metrics", lambda exchange: exchange.answer(gauges))
    well = dict.fromkeys(("status", "web", "database", "worker", "bus"), "ok")
    expected = well | {"inbox_depth": 0.0, "dead_letters": 1.0, "outbox_age_seconds": 0.5, "outbox_depth": 3.0}
    eventually(lambda: health_of_services(gateway, 200).get("order") == expected)
    stream = dict.fromkeys(("status", "web", "database"), "ok")
    services = dict.fromkeys(("auth", "catalog", "order", "review"), expected)
    assert health_of_services(gateway, 200) == services | {"order-stream": stream}
    worker.on("/readyz", lambda exchange: exchange.answer(b"{}", b"503 Service Unavailable"))
    services = eventually(lambda: health_of_services(gateway, 503))
    assert services["order"] == expected | {"status": "down", "worker": "down"}


def test_a_service_that_does_not_hear_of_revocations_is_not_well(gateway: RunningGateway) -> None:
    deaf = gateway.services["review"]
    deaf.on("/metrics", lambda exchange: exchange.answer(b"revocations_up 0.0\n"))
    review = eventually(
        lambda: (found := health_of_services(gateway, 503).get("review", {})).get("revocations") and found
    )
    assert (review["status"], review["revocations"]) == ("down", "down")


def health_of_services(gateway: RunningGateway, status: int) -> dict[str, Any]:
    """Nothing while the answer has another status."""
    reply = gateway.ask("GET", "/health")
    return reply.json()["services"] if reply.status == status else {}


def test_health_is_not_a_way_to_bother_the_services(gateway: RunningGateway) -> None:
    for _ in range(10):
        gateway.ask("GET", "/health")
    probes = [exchange for exchange in gateway.services["catalog"].seen if exchange.target == "/readyz"]
    assert len(probes) <= 2


def test_all_who_ask_at_once_are_told_of_one_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    probes: list[int] = []
    crowd = threading.Barrier(20)
    store = StoreHealth(GatewayConfig.from_env(GATEWAY_SECRETS))

    def probe() -> dict[str, Any]:
        probes.append(1)
        time.sleep(0.05)  # as long as services take
        return {"status": "ok"}

    def ask(_: int) -> dict[str, Any]:
        crowd.wait(5)
        return store.get()

    monkeypatch.setattr(store, "_ask_all", probe)
    with ThreadPoolExecutor(20) as threads:
        assert list(threads.map(ask, range(20))) == [{"status": "ok"}] * 20
    assert len(probes) == 1


@pytest.mark.parametrize("path", ["/api/openapi.json", "/api/asyncapi.json"])
def test_a_document_is_ready_made(gateway: RunningGateway, path: str) -> None:
    plain = gateway.ask("GET", path)
    packed = gateway.ask("GET", path, "Accept-Encoding: gzip, br")
    assert (packed.fields["Content-Encoding"], packed.fields["Vary"]) == ("gzip", "Accept-Encoding, Origin")
    assert gzip.decompress(packed.body) == plain.body
    assert packed.fields["ETag"] != plain.fields["ETag"]
    again = gateway.ask("GET", path, f"If-None-Match: {plain.fields['ETag']}")
    assert (again.status, again.body) == (304, b"")
