"""A virus scanner as far as its INSTREAM command goes; whatever contains EICAR is infected."""

from __future__ import annotations

import socketserver
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.serving import serving


class Clamd(socketserver.ThreadingTCPServer):
    """`answer`, when it is set, is all that it says; `limit` is how many bytes it looks at."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.scanned: list[bytes] = []
        self.answer: bytes | None = None
        self.limit = 25 * 1024 * 1024

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self.server_address[1]}"


class _Handler(socketserver.StreamRequestHandler):
    server: Clamd

    def handle(self) -> None:
        command = self.rfile.read(len(b"zINSTREAM\0"))
        assert command == b"zINSTREAM\0", command
        content = b""
        while size := struct.unpack("!I", self.rfile.read(4))[0]:
            content += self.rfile.read(size)
            if len(content) > self.server.limit:
                self.wfile.write(b"INSTREAM size limit exceeded. ERROR\0")
                return
        self.server.scanned.append(content)
        self.wfile.write(self.server.answer if self.server.answer is not None else _verdict(content))


def _verdict(content: bytes) -> bytes:
    return b"stream: Eicar-Test-Signature FOUND\0" if b"EICAR" in content else b"stream: OK\0"


@contextmanager
def scanner() -> Iterator[Clamd]:
    with serving(Clamd()) as server:
        yield server
