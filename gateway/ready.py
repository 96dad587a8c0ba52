"""A document that is made once and sent often: its bytes, plain and compressed, and their entity tag."""

from __future__ import annotations

import gzip
import hashlib
from functools import cached_property

from flask import Response, request

MAX_AGE_SECONDS = 60


class Ready:
    """A JSON document as it is sent."""

    def __init__(self, content: bytes) -> None:
        self._plain = content

    @cached_property
    def _compressed(self) -> bytes:
        return gzip.compress(self._plain, mtime=0)

    @cached_property
    def _tag(self) -> str:
        return hashlib.sha256(self._plain).hexdigest()[:24]

    def response(self) -> Response:
        """The answer to the current request: 304 where it has the document already, compressed where it takes that."""
        is_compressed = "gzip" in request.accept_encodings
        answer = Response(self._compressed if is_compressed else self._plain, content_type="application/json")
        answer.headers["Vary"] = "Accept-Encoding"
        answer.headers["Cache-Control"] = f"public, max-age={MAX_AGE_SECONDS}"
        if is_compressed:
            answer.headers["Content-Encoding"] = "gzip"
        answer.set_etag(self._tag + ("-gzip" if is_compressed else ""))
        answer.make_conditional(request)
        return answer
