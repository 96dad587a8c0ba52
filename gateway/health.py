"""Whether the store as a whole is well: every service's web process, and its worker with what it still has to do."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

import gevent
from flask import Blueprint

from common.api import polled
from common.auth import foreign_credentials
from common.errors import DomainError
from common.health import probes_blueprint
from gateway.config import GatewayConfig
from gateway.upstream import Forwarded, Timeouts, Upstream

PROBE_TIMEOUTS = Timeouts(connect=1.0, answer=2.0, idle=2.0)
FRESH_SECONDS = 1.0
_GAUGE = re.compile(r"^(bus_up|outbox_age_seconds|outbox_depth|inbox_depth|dead_letters) ([0-9.e+-]+)$", re.MULTILINE)
_REVOCATIONS_DOWN = re.compile(r"^revocations_up 0(\.0)?$", re.MULTILINE)


class StoreHealth:
    """Asked at most once a second, however many ask us."""

    def __init__(self, config: GatewayConfig) -> None:
        self._web = {name: Upstream(name, url, PROBE_TIMEOUTS) for name, url in config.service_urls.items()}
        self._workers = {name: Upstream(name, url, PROBE_TIMEOUTS) for name, url in config.worker_urls.items()}
        self._known: dict[str, Any] = {}
        self._asked_at = float("-inf")
        self._asking = threading.Lock()

    def get(self) -> dict[str, Any]:
        with self._asking:  # who comes meanwhile waits for the same answer
            if time.monotonic() - self._asked_at > FRESH_SECONDS:
                self._known = self._ask_all()
                self._asked_at = time.monotonic()
            return self._known

    def _ask_all(self) -> dict[str, Any]:
        asked = {name: gevent.spawn(self._ask_service, name) for name in self._web}
        gevent.joinall(asked.values())
        services = {name: each.value for name, each in asked.items()}
        well = all(each["status"] == "ok" for each in services.values())
        return {"status": "ok" if well else "degraded", "services": services}

    def _ask_service(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = {"web": _state(self._web[name], "/livez")}
        found["database"] = _state(self._web[name], "/readyz")
        if _REVOCATIONS_DOWN.search(_ask(self._web[name], "/metrics") or ""):
            found["revocations"] = "down"
        if worker := self._workers.get(name):
            found["worker"] = _state(worker, "/readyz")
            gauges = {gauge: float(value) for gauge, value in _GAUGE.findall(_ask(worker, "/metrics") or "")}
            found["bus"] = "ok" if gauges.pop("bus_up", 0) else "down"
            found |= gauges
        return {"status": "down" if "down" in found.values() else "ok", **found}


def _state(upstream: Upstream, path: str) -> str:
    return "down" if _ask(upstream, path) is None else "ok"


def _ask(upstream: Upstream, path: str) -> str | None:
    """The answer's text, or None when there is no good one."""
    try:
        answer = upstream.send(Forwarded("GET", path, []))
        text = b"".join(answer).decode("utf-8", "replace")
    except DomainError:
        return None
    return text if answer.head.status == 200 else None


def health_blueprint(store: StoreHealth) -> Blueprint:
    """What may be seen from outside; `/metrics` is not among it."""
    blueprint = probes_blueprint(lambda: None)

    @blueprint.get("/health")
    @polled
    @foreign_credentials
    def health() -> tuple[dict[str, Any], int, dict[str, str]]:
        found = store.get()
        return found, 200 if found["status"] == "ok" else 503, {"Cache-Control": "no-store"}

    return blueprint
