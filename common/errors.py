"""Errors as RFC 9457 problem details: a domain raises one, and a single handler renders all of them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, ClassVar

from common.telemetry import request_id

PROBLEM_JSON = "application/problem+json"


class DomainError(Exception):
    """A refusal that the caller may read.

    `code` is a stable slug for programs, `detail` a sentence for people; `extra` becomes members of the
    problem. With `keeps_changes` the request's transaction is committed although it failed: what was found
    out (a replayed code, a wrong password) must not be forgotten with it.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    keeps_changes: ClassVar[bool] = False

    def __init__(self, detail: str | None = None, *, headers: dict[str, str] | None = None, **extra: Any) -> None:
        super().__init__(detail or self.code)
        self.detail = detail
        self.headers = headers or {}
        self.extra = extra

    def as_problem(self) -> dict[str, Any]:
        return problem(self.status, self.code, self.detail, **self.extra)


class BadRequest(DomainError):
    status = 400
    code = "bad_request"


class Unauthorized(DomainError):
    """No credentials, or none that are good; `error` is the RFC 6750 section 3.1 code, if a token was sent."""

    status = 401
    code = "unauthorized"

    def __init__(self, detail: str | None = None, *, error: str | None = None, **extra: Any) -> None:
        super().__init__(detail, **extra)
        challenge = 'Bearer realm="bookstore"'
        self.headers["WWW-Authenticate"] = f'{challenge}, error="{error}"' if error else challenge


class PaymentRequired(DomainError):
    status = 402
    code = "payment_required"


class Forbidden(DomainError):
    status = 403
    code = "forbidden"


class NotFound(DomainError):
    status = 404
    code = "not_found"


class Conflict(DomainError):
    status = 409
    code = "conflict"


class PreconditionFailed(DomainError):
    status = 412
    code = "precondition_failed"


class TooLarge(DomainError):
    status = 413
    code = "too_large"


class UnsupportedMediaType(DomainError):
    status = 415
    code = "unsupported_media_type"


class Invalid(DomainError):
    status = 422
    code = "invalid"

    @classmethod
    def field(cls, field: str, message: str) -> Invalid:
        return cls("The request has an invalid field.", errors=[{"field": field, "message": message}])


class _RetryLater(DomainError):
    def __init__(self, detail: str | None = None, *, retry_after: int = 1, **extra: Any) -> None:
        """`retry_after` is in seconds (RFC 9110 section 10.2.3)."""
        super().__init__(detail, **extra)
        self.headers["Retry-After"] = str(retry_after)


class TooManyRequests(_RetryLater):
    status = 429
    code = "too_many_requests"


class BadGateway(DomainError):
    status = 502
    code = "bad_gateway"


class Unavailable(_RetryLater):
    status = 503
    code = "unavailable"


class GatewayTimeout(DomainError):
    status = 504
    code = "gateway_timeout"


def problem(status: int, code: str, detail: str | None = None, **extra: Any) -> dict[str, Any]:
    """The members of a problem details object (RFC 9457 section 3), with our own `code` and `request_id`."""
    body: dict[str, Any] = {"type": f"urn:bookstore:problem:{code}", "title": HTTPStatus(status).phrase}
    body |= {"status": status, "code": code, "request_id": request_id()}
    if detail:
        body["detail"] = detail
    return body | extra
