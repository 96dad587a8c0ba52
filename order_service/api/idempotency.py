"""The Idempotency-Key header around a request that must not be done twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import orjson
from flask import Response, current_app, jsonify, request

from common.app import problem_response
from common.db import current_database, transaction
from common.errors import Invalid
from order_service.domain import idempotency
from order_service.domain.idempotency import Earlier, Use

MAX_LENGTH = 255


def requested_use(user_id: UUID, operation: str, content: Any) -> Use | None:
    """This request as a use of its key; None when it came without one. Raises Invalid for an odd key."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key) <= MAX_LENGTH or not key.isprintable():
        raise Invalid.field("Idempotency-Key", f"must be 1 to {MAX_LENGTH} printable characters")
    return Use(user_id, operation, key, content)


def find(use: Use | None) -> Earlier | None:
    """What the key was used for before, if it was. Raises KeyReused or StillRunning."""
    if use is None:
        return None
    with current_database().read() as session:
        return idempotency.find(session, use)


def as_json(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer as it will be sent: plain JSON, which can be kept."""
    return orjson.loads(current_app.json.dumps(answer))


def respond(status: int, answer: dict[str, Any], *, replayed: bool = False) -> Response:
    """The answer as it was first given."""
    if status >= 400:
        response = problem_response(answer)
    else:
        response = jsonify(answer)
        response.status_code = status
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return response


def keep(use: Use | None, status: int, answer: dict[str, Any]) -> None:
    """Remember the answer of a first use."""
    if use:
        with transaction() as session:
            idempotency.finish(session, use, status, answer)


def replay(use: Use | None, earlier: Earlier, as_it_stands: Callable[[], tuple[int, dict[str, Any]]]) -> Response:
    """The first answer; or, where a crash kept it from being given, today's, which is kept from now on."""
    if earlier.status is not None and earlier.answer is not None:
        return respond(earlier.status, earlier.answer, replayed=True)
    status, answer = as_it_stands()
    keep(use, status, answer)
    return respond(status, answer, replayed=True)
