"""The processes that benchmarks/gateway.py compares, and the service that stands in behind them.

Run by that file: `python -m benchmarks.gateway_processes upstream|flask|gthread|gevent|gateway`, with PORT and the
gateway's own settings in the environment.
"""

# ruff: noqa: E402 - nothing may be imported before gevent has patched what it will use

from __future__ import annotations

import os
import sys

KIND = sys.argv[1] if __name__ == "__main__" else ""
THREADED = {"flask", "gthread"}

if KIND and KIND not in THREADED:
    from gevent import monkey

    monkey.patch_all()

import time
from typing import Any

import requests
from flask import Flask, Response, request

from common.app import bare_app
from common.auth import JwksKeys, TokenVerifier, foreign_credentials
from common.telemetry import configure_logging
from common.web import WebServer
from gateway.app import create_app
from gateway.config import GatewayConfig

BODY = b'{"items":[' + b",".join([b'{"title":"A book of some length"}'] * 50) + b"]}"
HEAD = (
    b"HTTP/1.1 200 OK\r\nServer: gunicorn\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\nConnection: keep-alive\r\n"
    b'Content-Type: application/json\r\nETag: "1"\r\nX-Request-ID: 1\r\n'
)
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
SHARED = b"Cache-Control: public, s-maxage=60\r\n"
EVENT = b"data: {}\n\n"
EVENT_SECONDS = 0.5


def serve_upstream() -> None:
    """As cheap as can be, so that what is measured is the way there."""
    from gevent.server import StreamServer  # noqa: PLC0415 - the threaded processes stay without gevent

    jwks = os.environ["JWKS"].encode()

    def handle(client: Any, _address: Any) -> None:
        waiting = b""
        while data := client.recv(65536):
            *heads, waiting = (waiting + data).split(b"\r\n\r\n")
            for head in heads:
                _answer(client, head, jwks)

    StreamServer(("127.0.0.1", int(os.environ["PORT"])), handle, backlog=1024).serve_forever()


def _answer(client: Any, head: bytes, jwks: bytes) -> None:
    path = head.split(b" ", 2)[1]
    if path.endswith(b"/events"):
        client.sendall(STREAM)
        while True:
            client.sendall(b"%X\r\n%b\r\n" % (len(EVENT), EVENT))
            time.sleep(EVENT_SECONDS)
    body = jwks if path.endswith(b"jwks.json") else BODY
    shared = SHARED if b"shared" in path else b""
    client.sendall(HEAD + shared + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))


def flask_with_requests(config: GatewayConfig) -> Flask:
    """The gateway that one writes first: a catch-all view and a requests session."""
    app = bare_app(config, [])
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=64))
    keys = JwksKeys(f"{config.auth_url}/.well-known/jwks.json")
    verifier = TokenVerifier(issuer=config.issuer, audience=config.api_audience, keys=keys)

    @app.route("/<path:path>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    @foreign_credentials
    def forward(path: str) -> Response:
        verifier.verify(request.headers["Authorization"].removeprefix("Bearer "))
        headers = {name: value for name, value in request.headers if name.lower() not in ("host", "connection")}
        answer = session.request(
            request.method, f"{config.catalog_url}/{path}", headers=headers, data=request.get_data(), stream=True
        )
        passed = [each for each in answer.headers.items() if each[0].lower() not in ("connection", "transfer-encoding")]
        return Response(answer.iter_content(None), answer.status_code, passed)

    return app


def main() -> None:
    if KIND == "upstream":
        serve_upstream()
    config = GatewayConfig.from_env()
    configure_logging(config.service, config.log_level, config.log_format)
    server = WebServer(config, flask_with_requests if KIND == "flask" else create_app)
    server.cfg.set("worker_class", config.worker_class if KIND == "gateway" else KIND.replace("flask", "gthread"))
    server.run()


if __name__ == "__main__":
    main()
