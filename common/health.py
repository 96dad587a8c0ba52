"""Liveness, readiness and metrics, which every process answers and the gateway lets nobody ask from outside."""

from __future__ import annotations

import threading
from collections.abc import Callable

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from werkzeug.serving import WSGIRequestHandler, make_server

from common.api import polled
from common.auth import foreign_credentials
from common.errors import Unavailable

Check = Callable[[], None]


class Draining:
    """Set when the process was told to end: it is not ready any more, and finishes what it has."""

    begun = threading.Event()


def probes_blueprint(check: Check, is_alive: Callable[[], bool] = lambda: True) -> Blueprint:
    """`check` raises when the process cannot do its work now (its own database, not the broker).

    `is_alive`: whether its main loop turns; a process whose loop does not is to be started anew.
    """
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/livez")
    @polled
    @foreign_credentials
    def livez() -> dict[str, str]:
        if not is_alive():
            raise Unavailable("This process does not get on.")
        return {"status": "ok"}

    @blueprint.get("/readyz")
    @polled
    @foreign_credentials
    def readyz() -> dict[str, str]:
        if Draining.begun.is_set():
            raise Unavailable("This process is ending.")
        check()
        return {"status": "ok"}

    return blueprint


def health_blueprint(check: Check, is_alive: Callable[[], bool] = lambda: True) -> Blueprint:
    """The probes and, beside them, the metrics."""
    blueprint = probes_blueprint(check, is_alive)

    @blueprint.get("/metrics")
    @polled
    @foreign_credentials
    def metrics() -> Response:
        return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)

    return blueprint


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        """Probes are not worth a line."""


def serve_in_background(app: Callable[..., object], host: str, port: int) -> None:
    """Answer on a thread of a process whose main work is something else."""
    server = make_server(host, port, app, threaded=True, request_handler=_Quiet)  # type: ignore[arg-type]
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
