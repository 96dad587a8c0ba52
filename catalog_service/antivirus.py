"""Asking clamd whether a file is infected, by its INSTREAM command (clamd(8))."""

from __future__ import annotations

import socket
import struct
from typing import BinaryIO, Protocol
from urllib.parse import urlsplit

from common.errors import Invalid, Unavailable
from common.telemetry import get_logger

BLOCK = 64 * 1024
TIMEOUT_SECONDS = 20.0
LONGEST_ANSWER = 4096
log = get_logger(__name__)


class Infected(Invalid):
    code = "infected"


class ScannerUnavailable(Unavailable):
    code = "scanner_unavailable"


class Scanner(Protocol):
    def require_clean(self, content: BinaryIO) -> None:
        """Raises Infected, and ScannerUnavailable when it cannot be told: what was not looked at is not taken."""


class NoScanner:
    def require_clean(self, content: BinaryIO) -> None:
        """Nobody looks."""


class Clamd:
    def __init__(self, url: str) -> None:
        """`tcp://host:port` or `unix:///path`."""
        self._url = urlsplit(url)

    def require_clean(self, content: BinaryIO) -> None:
        try:
            verdict = self._ask(content)
        except OSError as error:
            log.error("scanner_unavailable", error=repr(error))
            raise ScannerUnavailable("Files cannot be checked for viruses at the moment.", retry_after=30) from error
        if verdict.endswith(" FOUND"):
            log.warning("upload_infected", verdict=verdict)
            raise Infected("The file is infected.")
        if verdict != "stream: OK":
            log.error("scanner_refused", verdict=verdict)
            raise ScannerUnavailable("The file could not be checked for viruses.", retry_after=30)

    def _ask(self, content: BinaryIO) -> str:
        with self._connected() as scanner:
            scanner.sendall(b"zINSTREAM\0")
            content.seek(0)
            while block := content.read(BLOCK):
                scanner.sendall(struct.pack("!I", len(block)) + block)
            scanner.sendall(struct.pack("!I", 0))
            return _answer(scanner)

    def _connected(self) -> socket.socket:
        if self._url.scheme == "tcp":
            return socket.create_connection((self._url.hostname, self._url.port), TIMEOUT_SECONDS)
        opened = socket.socket(socket.AF_UNIX)
        opened.settimeout(TIMEOUT_SECONDS)
        try:
            opened.connect(self._url.path)
        except OSError:
            opened.close()
            raise
        return opened


def _answer(scanner: socket.socket) -> str:
    said = b""
    while not said.endswith(b"\0") and len(said) < LONGEST_ANSWER:
        more = scanner.recv(LONGEST_ANSWER)
        if not more:
            break
        said += more
    return said.rstrip(b"\0\n").decode("utf-8", "replace")


def scanner(url: str) -> Scanner:
    """An empty URL is no scanner."""
    return Clamd(url) if url else NoScanner()
