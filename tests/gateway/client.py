"""A client that sends exactly the bytes it is told to."""

from __future__ import annotations

import socket
from http.client import HTTPResponse
from typing import Any

import orjson

TIMEOUT = 5.0


class Reply:
    def __init__(self, response: HTTPResponse, body: bytes) -> None:
        self.status = response.status
        self.fields = response.headers
        self.body = body

    def json(self) -> Any:
        return orjson.loads(self.body)


class RawClient:
    """One connection to the gateway."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_error: object) -> None:
        self.socket.close()

    def send(self, data: bytes | str) -> None:
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def begin_reply(self, method: str = "GET") -> HTTPResponse:
        response = HTTPResponse(self.socket, method=method)
        response.begin()
        return response

    def reply(self, method: str = "GET") -> Reply:
        response = self.begin_reply(method)
        return Reply(response, response.read())

    def request(self, method: str, target: str, *fields: str, body: bytes = b"") -> Reply:
        self.send(head(method, target, *fields) + body)
        return self.reply(method)

    def is_closed(self) -> bool:
        """Whether the gateway ends the connection, and says nothing more."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True


def head(method: str, target: str, *fields: str) -> bytes:
    lines = "".join(f"{each}\r\n" for each in ("Host: localhost", *fields))
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")
