"""Which pages may read what OAuth clients ask (the Fetch standard's CORS protocol): those of registered public clients.

Such a client is a program in a browser, and runs where it lets itself be sent back to. Never with credentials: what it
shows to us, it shows in the request itself.
"""

from __future__ import annotations

from flask import Flask, Response, request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from auth_service.domain import clients
from common.db import current_database

METHODS = {
    "/token": "POST",
    "/revoke": "POST",
    "/userinfo": "GET, POST",
    "/.well-known/openid-configuration": "GET",
    "/.well-known/oauth-authorization-server": "GET",
    "/.well-known/oauth-protected-resource": "GET",
    "/.well-known/jwks.json": "GET",
}
PREFLIGHT_SECONDS = "600"
REQUEST_FIELDS = "Authorization, Content-Type, DPoP, X-Request-ID, traceparent, tracestate"
ANSWER_FIELDS = "DPoP-Nonce, Retry-After, WWW-Authenticate, X-Request-ID"


def answer_origins(app: Flask) -> None:
    app.after_request(_tell)


def _tell(answer: Response) -> Response:
    if request.path not in METHODS:
        return answer
    answer.vary.add("Origin")
    origin = request.headers.get("Origin", "")
    if origin and _is_allowed(origin):
        answer.headers["Access-Control-Allow-Origin"] = origin
        answer.headers["Access-Control-Expose-Headers"] = ANSWER_FIELDS
        if request.method == "OPTIONS":
            answer.headers["Access-Control-Allow-Methods"] = METHODS[request.path]
            answer.headers["Access-Control-Allow-Headers"] = REQUEST_FIELDS
            answer.headers["Access-Control-Max-Age"] = PREFLIGHT_SECONDS
    return answer


def _is_allowed(origin: str) -> bool:
    try:
        with current_database().read() as reading:
            return clients.is_origin_of_one(reading, origin)
    except (DBAPIError, PoolTimeout):
        return False
