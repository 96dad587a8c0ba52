"""Which processes the store consists of. Compose lists the same, and a test compares the two."""

from __future__ import annotations

from dataclasses import dataclass

HOST = "127.0.0.1"
POSTGRES_PORT = 54320
METRICS_PORT = 8110
"""Where the gateway tells its metrics, which are not for those outside."""
HEALTH_PATH = "/readyz"


@dataclass(frozen=True, slots=True)
class Service:
    """A service with a schema of its own, answering HTTP by one process and working by another."""

    name: str
    schema: str
    port: int
    health_port: int

    @property
    def package(self) -> str:
        return f"{self.name}_service"


@dataclass(frozen=True, slots=True)
class Process:
    """`python -m package command`, well when `health_path` at `port` answers 200."""

    name: str
    package: str
    command: str
    port: int
    depends: tuple[str, ...] = ("postgres",)
    health_path: str = HEALTH_PATH


SERVICES = (
    Service("auth", "auth", 8101, 8111),
    Service("catalog", "catalog", 8102, 8112),
    Service("order", "orders", 8103, 8113),
    Service("review", "reviews", 8104, 8114),
)


def _of(service: Service) -> tuple[Process, Process]:
    return (
        Process(f"{service.name}-web", service.package, "web", service.port),
        Process(f"{service.name}-worker", service.package, "worker", service.health_port),
    )


STREAM = Process("order-stream", "order_service", "stream", 8105)
"""Holds the live streams, which would take all threads of order-web."""
GATEWAY = Process("gateway", "gateway", "web", 8000, depends=tuple(f"{each.name}-web" for each in SERVICES))
PROCESSES = (*(process for service in SERVICES for process in _of(service)), STREAM, GATEWAY)
BY_NAME = {process.name: process for process in PROCESSES}
