"""Refusals of the gateway itself, in the one shape that all errors have."""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar

import orjson

from common.errors import PROBLEM_JSON, DomainError, problem
from common.telemetry import accept_request_id, bind_correlation, continue_trace

Fields = list[tuple[str, str]]

_CODES = {400: "bad_request", 414: "uri_too_long", 417: "expectation_failed", 431: "headers_too_large"}
_CODES |= {501: "not_implemented", 505: "version_not_supported"}


class MethodNotAllowed(DomainError):
    status: ClassVar[int] = 405
    code: ClassVar[str] = "method_not_allowed"


def render(error: DomainError) -> tuple[str, Fields, list[bytes]]:
    """Status line, header fields and body."""
    body = orjson.dumps(error.as_problem())
    fields = [("Content-Type", PROBLEM_JSON), ("Content-Length", str(len(body))), *error.headers.items()]
    return status_line(error.status), fields, [body]


def status_line(status: int, reason: str = "") -> str:
    if not reason:
        reason = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"
    return f"{status} {reason}"


def refusal(status: int) -> bytes:
    """A whole response to something that was not a request."""
    request_id = accept_request_id(None)
    bind_correlation(request_id, continue_trace(None))
    body = orjson.dumps(problem(status, _CODES[status], "The request could not be read."))
    head = (
        f"HTTP/1.1 {status_line(status)}\r\nContent-Type: {PROBLEM_JSON}\r\nContent-Length: {len(body)}\r\n"
        f"X-Request-ID: {request_id}\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + body
