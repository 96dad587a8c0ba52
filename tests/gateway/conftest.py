"""The gateway as a real process, before services that the tests play."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest

from tests.gateway.client import RawClient, Reply
from tests.gateway.standin import Exchange, StandIn
from tests.support.tokens import ISSUER, bearer, public_jwk
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
BODY_LIMIT = 200_000
FILES_LIMIT = 900_000
ANSWER_SECONDS = 1.0
START_SECONDS = 60.0
SHOP = "https://shop.example"
GATEWAY_SECRETS = {
    "SERVICE_CLIENT_SECRET": "only-in-tests",
    "SESSION_KEYS": "only-in-tests-only-in-tests-only-in-tests",
    "SHOP_CLIENT_SECRET": "only-in-tests",
    "ADMINISTRATION_CLIENT_SECRET": "only-in-tests",
}
"""What a gateway cannot do without."""


@dataclass
class RunningGateway:
    port: int
    metrics_port: int
    process: subprocess.Popen[bytes]
    services: dict[str, StandIn] = field(default_factory=dict)

    def connect(self) -> RawClient:
        return RawClient(self.port)

    def ask(self, method: str, target: str, *fields: str, body: bytes = b"") -> Reply:
        with self.connect() as client:
            return client.request(method, target, *fields, body=body)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_gateway(services: dict[str, StandIn], **environment: str) -> Iterator[RunningGateway]:
    port, metrics_port = free_port(), free_port()
    urls = {f"{name.upper()}_URL": service.url for name, service in services.items()}
    urls |= {"ORDER_STREAM_URL": services["order"].url} if "order" in services else {}
    settings = {"PORT": str(port), "METRICS_PORT": str(metrics_port), "PUBLIC_URL": ISSUER, "LOG_LEVEL": "ERROR"}
    settings |= GATEWAY_SECRETS | {"RATE_LIMITS_ENABLED": "false"}
    settings |= {"BODY_LIMIT": str(BODY_LIMIT), "FILE_LIMIT": str(BODY_LIMIT), "FILES_LIMIT": str(FILES_LIMIT)}
    settings |= {"CORS_ORIGINS": SHOP, "PYTHONPATH": str(ROOT)}
    settings |= {"UPSTREAM_ANSWER_SECONDS": str(ANSWER_SECONDS), "UPSTREAM_CONNECT_SECONDS": "0.5"}
    environ = {"PATH": os.environ["PATH"]} | settings | urls | environment
    process = subprocess.Popen([sys.executable, "-m", "gateway", "web"], cwd=ROOT, env=environ)
    running = RunningGateway(port, metrics_port, process, services)
    try:
        eventually(lambda: accepts_connections(port), within=START_SECONDS)
        yield running
    finally:
        process.terminate()
        process.wait(10)


def accepts_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def stand_ins() -> dict[str, StandIn]:
    services = {name: StandIn() for name in ("auth", "catalog", "order", "review")}
    services["auth"].on("/.well-known/jwks.json", serve_keys)
    return services


def serve_keys(exchange: Exchange) -> None:
    exchange.answer(orjson.dumps({"keys": [public_jwk]}))


@pytest.fixture(scope="session")
def shared_gateway() -> Iterator[RunningGateway]:
    services = stand_ins() | {"worker": StandIn()}
    workers = {f"{name}_WORKER_URL": services["worker"].url for name in ("AUTH", "CATALOG", "ORDER", "REVIEW")}
    with running_gateway(services, **workers) as gateway:
        yield gateway


@pytest.fixture
def gateway(shared_gateway: RunningGateway) -> Iterator[RunningGateway]:
    yield shared_gateway
    for service in shared_gateway.services.values():
        service.seen.clear()
        for target in set(service.behaviours) - {"/.well-known/jwks.json"}:
            del service.behaviours[target]


@pytest.fixture
def catalog(gateway: RunningGateway) -> StandIn:
    return gateway.services["catalog"]


@pytest.fixture
def order(gateway: RunningGateway) -> StandIn:
    return gateway.services["order"]


@pytest.fixture(scope="session")
def token() -> str:
    """A good token as a header line."""
    return f"Authorization: {bearer()['Authorization']}"
