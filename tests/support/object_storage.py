"""Object Storage of OCI as far as our client speaks to it: objects in memory, requests signed with a known key."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.support.serving import serving

TENANCY, USER, FINGERPRINT = "ocid1.tenancy.oc1..tests", "ocid1.user.oc1..tests", ":".join(["0f"] * 16)
KEY_ID = f"{TENANCY}/{USER}/{FINGERPRINT}"
NAMESPACE, BUCKET, REGION = "tests", "files", "us-ashburn-1"
_PATH = re.compile(f"/n/{NAMESPACE}/b/{BUCKET}/o/(.+)")


class ObjectStorage(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.objects: dict[str, tuple[bytes, str]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def pem(self) -> str:
        kinds = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return self.key.private_bytes(*kinds).decode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ObjectStorage

    def do_GET(self) -> None:
        if self.path.rstrip("/") == "/n" and self._is_signed():
            self._answer(200, json.dumps(NAMESPACE).encode(), "application/json")
            return
        self._read()

    def do_HEAD(self) -> None:
        self._read()

    def do_PUT(self) -> None:
        body = self._body()
        if name := self._name():
            self.server.objects[name] = body, self.headers["Content-Type"]
            self._answer(200)

    def do_DELETE(self) -> None:
        name = self._name()
        if name and self.server.objects.pop(name, None):
            self._answer(204)
        elif name:
            self._refuse(404, "ObjectNotFound")

    def _read(self) -> None:
        name = self._name()
        if name and name in self.server.objects:
            self._answer(200, *self.server.objects[name])
        elif name:
            self._refuse(404, "ObjectNotFound")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _name(self) -> str | None:
        found = _PATH.fullmatch(self.path)
        if not self._is_signed():
            self._refuse(401, "NotAuthenticated")
        elif not found:
            self._refuse(404, "BucketNotFound")
        else:
            return unquote(found[1])
        return None

    def _is_signed(self) -> bool:
        """As the API's description has it: version 1, RSA-SHA256 over the fields that it names."""
        given = dict(re.findall(r'(\w+)="([^"]*)"', self.headers.get("Authorization", "")))
        if given.get("keyId") != KEY_ID:
            return False
        target = f"{self.command.lower()} {self.path}"
        fields = given["headers"].split()
        values = [target if name == "(request-target)" else self.headers[name] for name in fields]
        signed = "\n".join(f"{name}: {value}" for name, value in zip(fields, values, strict=True))
        signature = base64.b64decode(given["signature"])
        try:
            self.server.key.public_key().verify(signature, signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return {"date", "(request-target)", "host"} <= set(fields)

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, json.dumps({"code": code, "message": "refused"}).encode(), "application/json")

    def _answer(self, status: int, body: bytes = b"", content_type: str = "application/octet-stream") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@contextmanager
def object_storage() -> Iterator[ObjectStorage]:
    with serving(ObjectStorage()) as server:
        yield server
