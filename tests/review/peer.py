"""A stand-in for the services that this one asks, on a port of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from review_service.domain.purchases import Bought

PAGE = 2


class Peer(ThreadingHTTPServer):
    """Answers for auth (/token, /internal/users), order (/internal/purchases) and catalog (/internal/books/{id}).

    A page has two items.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bought: list[Bought] = []
        self.books: set[UUID] = set()
        self.users: dict[UUID, str] = {}
        self.is_down = False
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.tokens: list[dict[str, str]] = []
        self.before_answer: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def purchases(self, query: dict[str, str]) -> dict[str, Any]:
        wanted = {name: query[name] for name in ("user_id", "book_id") if name in query}
        found = [each for each in self.bought if all(str(getattr(each, n)) == v for n, v in wanted.items())]
        items = [each.model_dump(mode="json") | {"purchased_at": "2026-01-01T00:00:00Z"} for each in found]
        return self._page(items, query)

    def names(self, query: dict[str, str]) -> dict[str, Any]:
        items = [{"user_id": str(id), "username": name, "email": "a@example.com"} for id, name in self.users.items()]
        return self._page(items, query)

    def _page(self, items: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
        start = int(query.get("cursor", 0))
        more = start + PAGE < len(items)
        return {"items": items[start : start + PAGE], "next_cursor": str(start + PAGE) if more else None}


class _Handler(BaseHTTPRequestHandler):
    server: Peer

    def do_POST(self) -> None:
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.tokens.append(dict(parse_qsl(form)))
        self._answer(200, {"access_token": "a-token", "expires_in": 300})

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query))
        self.server.asked.append((url.path, query))
        self.server.before_answer()
        if self.server.is_down or self.headers["Authorization"] != "Bearer a-token":
            self._answer(503, {})
        elif url.path == "/internal/purchases":
            self._answer(200, self.server.purchases(query))
        elif url.path == "/internal/users":
            self._answer(200, self.server.names(query))
        elif url.path in {f"/internal/books/{id}" for id in self.server.books}:
            self._answer(200, {"book_id": url.path.rpartition("/")[2]})
        else:
            self._answer(404, {})

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...
