"""One OpenAPI document out of the services' own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import orjson

from common.errors import DomainError
from common.telemetry import get_logger
from gateway.ready import Ready
from gateway.routes import DESCRIBED_BY, RouteTable
from gateway.upstream import Forwarded, Upstream

FRESH_SECONDS = 60.0
_SCHEMA_REF = "#/components/schemas/"
_SHARED = "Problem"
GATEWAY = "gateway"
OWN_PATHS = "/bff/"

Document = dict[str, Any]
log = get_logger(__name__)


class MergedDocument:
    """Asks the services now and then; what a service said last stays while it is away."""

    def __init__(self, upstreams: dict[str, Upstream]) -> None:
        self.own: Document = {}
        """What the gateway answers by itself."""
        self._upstreams = {name: each for name, each in upstreams.items() if name not in DESCRIBED_BY}
        self._known: dict[str, bytes] = {}
        self._made_of: dict[str, bytes] | None = None
        self._ready = Ready(b"")
        self._asked_at = float("-inf")
        self._asking = threading.Lock()

    def get(self) -> Ready:
        with self._asking:  # who comes meanwhile waits for the same document
            if time.monotonic() - self._asked_at > FRESH_SECONDS or len(self._known) < len(self._upstreams):
                self._refresh()
            if self._known != self._made_of:
                self._ready = Ready(
                    orjson.dumps(merge({name: orjson.loads(each) for name, each in self._known.items()}, self.own))
                )
                self._made_of = dict(self._known)
            return self._ready

    def _refresh(self) -> None:
        for name, upstream in self._upstreams.items():
            try:
                self._known[name] = _fetch(upstream)
            except (DomainError, ValueError) as error:
                log.warning("no_openapi_document", upstream=name, error=str(error))
        self._asked_at = time.monotonic()


def _fetch(upstream: Upstream) -> bytes:
    """Raises ValueError for an answer that is not a document."""
    answer = upstream.send(Forwarded("GET", "/openapi.json", [("Accept", "application/json")]))
    content = b"".join(answer)
    if answer.head.status != 200:
        raise ValueError(f"status {answer.head.status}")
    orjson.loads(content)
    return content


def merge(documents: dict[str, Document], own: Document | None = None) -> Document:
    """Only what the route table sends to a service is described as that service's; of our own, what portals ask."""
    table = RouteTable()
    merged: Document = {
        "openapi": "3.1.0",
        "info": {"title": "Bookstore", "version": "1"},
        "servers": [{"url": "/"}],
        "paths": {},
        "components": {"schemas": {}, "securitySchemes": {}},
    }
    for service, original in sorted((documents | ({GATEWAY: own} if own else {})).items()):
        document = _renamed(original, service)
        for path, operations in document.get("paths", {}).items():
            route = table.find(path)
            described_by = DESCRIBED_BY.get(route.service, route.service) if route else GATEWAY
            if described_by == service and (route or path.startswith(OWN_PATHS)):
                merged["paths"][path] = operations
        for kind, components in document.get("components", {}).items():
            merged["components"].setdefault(kind, {}).update(components)
    return merged


def _renamed(document: Document, service: str) -> Document:
    """A copy in which no name can meet one of another service's; the problem object is the same in all."""

    def rename(name: str) -> str:
        return name if name == _SHARED else f"{service}.{name}"

    def change(value: str) -> str:
        is_reference = value.startswith(_SCHEMA_REF)
        return _SCHEMA_REF + rename(value.removeprefix(_SCHEMA_REF)) if is_reference else value

    renamed: Document = _each_value(document, change)
    schemas = renamed.get("components", {}).get("schemas", {})
    if schemas:
        renamed["components"]["schemas"] = {rename(name): schema for name, schema in schemas.items()}
    return renamed


def _each_value(node: Any, change: Callable[[str], str]) -> Any:
    if isinstance(node, dict):
        return {name: _each_value(value, change) for name, value in node.items()}
    if isinstance(node, list):
        return [_each_value(value, change) for value in node]
    return change(node) if isinstance(node, str) else node
