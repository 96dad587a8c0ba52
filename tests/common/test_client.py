"""Service-to-service calls against a peer that misbehaves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from common.client import ServiceClient
from common.errors import NotFound, Unavailable
from common.telemetry import correlated
from tests.common.toy import ToyConfig
from tests.support.serving import serving


class Peer(ThreadingHTTPServer):
    """Answers /token, and other paths by a script of statuses."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses: list[int] = []
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.tokens = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Peer

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.tokens += 1
        self._answer(200, {"access_token": f"token-{self.server.tokens}", "expires_in": 300})

    def do_GET(self) -> None:
        self.server.seen.append((self.path, dict(self.headers)))
        self._answer(self.server.statuses.pop(0) if self.server.statuses else 200, {"ok": True})

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def peer() -> Iterator[Peer]:
    with serving(Peer()) as server:
        yield server


@pytest.fixture
def client(config: ToyConfig, peer: Peer) -> ServiceClient:
    return ServiceClient(replace(config, auth_url=peer.url), peer.url, scope="replicas:read")


def test_a_call_carries_a_token_of_our_own_and_the_request_it_belongs_to(client: ServiceClient, peer: Peer) -> None:
    with correlated("req-7", None):
        assert client.get("/internal/x", {"limit": 1}) == {"ok": True}
        client.get("/internal/x")
    path, headers = peer.seen[0]
    assert path == "/internal/x?limit=1"
    assert headers["Authorization"] == "Bearer token-1"
    assert headers["X-Request-ID"] == "req-7"
    assert peer.tokens == 1


def test_a_read_is_tried_again_when_the_peer_is_starting(client: ServiceClient, peer: Peer) -> None:
    peer.statuses = [503, 502, 200]
    assert client.get("/internal/x") == {"ok": True}


def test_a_token_that_is_refused_is_fetched_anew_once(client: ServiceClient, peer: Peer) -> None:
    peer.statuses = [401, 200]
    assert client.get("/internal/x") == {"ok": True}
    assert peer.tokens == 2


def test_absent_and_unavailable_are_told_apart(client: ServiceClient, peer: Peer, config: ToyConfig) -> None:
    peer.statuses = [404]
    with pytest.raises(NotFound):
        client.get("/internal/x")
    peer.statuses = [403]
    with pytest.raises(Unavailable):
        client.get("/internal/x")
    nowhere = ServiceClient(replace(config, auth_url=peer.url), "http://127.0.0.1:1", scope="replicas:read")
    with pytest.raises(Unavailable):
        nowhere.get("/internal/x")
