"""The Flask application that every service is: identity, one transaction, one shape of error, health, OpenAPI."""

from __future__ import annotations

import time
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

import orjson
from flask import Blueprint, Flask, Response, current_app, g, request
from flask.json.provider import JSONProvider
from pydantic import BaseModel
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm.exc import StaleDataError
from werkzeug.exceptions import HTTPException
from werkzeug.local import LocalProxy

from common import openapi
from common.api import operation
from common.auth import JwksKeys, KeySource, Refusals, TokenVerifier
from common.config import Config, ServiceConfig
from common.db import Database, end_request_session
from common.errors import PROBLEM_JSON, Conflict, DomainError, Invalid, Unavailable, problem
from common.health import health_blueprint
from common.metrics import observe_request
from common.revocation import asked_of_auth
from common.telemetry import accept_request_id, bind_correlation, continue_trace, get_logger, log_request, request_id

log = get_logger(__name__)

_CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 406: "not_acceptable"}
_CODES |= {408: "request_timeout", 411: "length_required", 413: "too_large", 414: "uri_too_long"}
_CODES |= {415: "unsupported_media_type", 416: "range_not_satisfiable", 429: "too_many_requests"}
_BUSY = frozenset({"40001", "40P01", "55P03", "57014"})
"""SQLSTATEs of what others stood in the way of: serialization failure, deadlock, time-outs of lock and statement."""


class Orjson(JSONProvider):
    """JSON by orjson: times in UTC with Z, money and identifiers as strings."""

    def dumps(self, obj: Any, **_kwargs: Any) -> str:
        return _dump(obj).decode()

    def loads(self, s: str | bytes, **_kwargs: Any) -> Any:
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        payload = _dump(self._prepare_response_obj(args, kwargs))
        return Response(payload, mimetype="application/json")


def _dump(value: Any) -> bytes:
    return orjson.dumps(value, default=_jsonable, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)


def _jsonable(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Decimal | UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


class Application(Flask):
    """Flask with our JSON, and with the request's transaction committed before its answer exists."""

    json_provider_class = Orjson

    def dispatch_request(self) -> Response:
        answer = self.make_response(super().dispatch_request())
        end_request_session(commit=answer.status_code < 500)
        return answer

    def make_response(self, rv: Any) -> Response:
        if isinstance(rv, tuple) and isinstance(rv[0], BaseModel):
            rv = (self.json.response(rv[0]), *rv[1:])
        elif isinstance(rv, BaseModel):
            rv = self.json.response(rv)
        return super().make_response(rv)


def bare_app(config: Config, blueprints: Iterable[Blueprint]) -> Application:
    """An application without a database: correlation, errors and logging only."""
    package = f"{config.service}_service" if isinstance(config, ServiceConfig) else config.service
    app = Application(package)
    app.extensions["config"] = config
    app.url_map.strict_slashes = False
    if isinstance(config, ServiceConfig):
        app.config["MAX_CONTENT_LENGTH"] = config.body_limit  # a route that takes files sets its own
    app.before_request(_begin)
    app.after_request(_finish)
    _handle_errors(app)
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    return app


def service_app(
    config: ServiceConfig,
    blueprints: Iterable[Blueprint],
    *,
    keys: KeySource | None = None,
    revocations: Refusals | None = None,
) -> Application:
    """The web application of a service. Raises RuntimeError for a route that declares no access.

    With `keys` of somebody else than the auth service, it is not asked for revocations either.
    """
    database = Database(config)
    app = bare_app(config, [health_blueprint(database.ping), *blueprints])
    app.extensions["database"] = database
    app.extensions["token_verifier"] = TokenVerifier(
        issuer=config.issuer,
        audience=(config.api_audience, config.public_url, config.service_client_id),
        keys=keys or JwksKeys(f"{config.auth_url}/.well-known/jwks.json"),
        revocations=revocations or (None if keys else asked_of_auth(config)),
    )
    app.teardown_request(lambda _error: end_request_session(commit=False))
    _serve_openapi(app, config)
    _require_declared_access(app)
    return app


config: Any = LocalProxy(lambda: current_app.extensions["config"])
"""The settings of the application that answers the current request."""


def _serve_openapi(app: Application, config: ServiceConfig) -> None:
    title = f"Bookstore: {config.service}"

    def openapi_document() -> dict[str, Any]:
        if "openapi" not in app.extensions:
            app.extensions["openapi"] = openapi.document(app, title)
        return cast(dict[str, Any], app.extensions["openapi"])

    operation(openapi_document).is_public = True
    app.add_url_rule("/openapi.json", "health.openapi", openapi_document)


def _require_declared_access(app: Flask) -> None:
    silent = [
        f"{rule.rule} ({rule.endpoint})"
        for rule in app.url_map.iter_rules()
        if not rule.endpoint.endswith("static") and not operation(app.view_functions[rule.endpoint]).declares_access
    ]
    if silent:
        raise RuntimeError(f"these routes declare neither @public nor @requires: {', '.join(silent)}")


def _begin() -> None:
    g.started = time.perf_counter()
    bind_correlation(
        accept_request_id(request.headers.get("X-Request-ID")),
        continue_trace(request.headers.get("traceparent")),
    )


def _finish(response: Response) -> Response:
    response.headers["X-Request-ID"] = request_id() or ""
    response.headers.setdefault("Cache-Control", "no-store")  # what is the same for everybody says so itself
    elapsed = time.perf_counter() - g.get("started", time.perf_counter())
    template = request.url_rule.rule if request.url_rule else "unmatched"
    observe_request(request.method, template, response.status_code, elapsed)
    if not _is_polled():
        log_request(request.method, template, response.status_code, elapsed)
    return response


def _is_polled() -> bool:
    """What asks again and again by itself would leave no room in the log for what people do."""
    view = current_app.view_functions.get(request.endpoint or "")
    declared = getattr(view, "operation", None)  # a file's view is Flask's own and declares nothing
    return declared is not None and bool(declared.is_polled)


def _handle_errors(app: Application) -> None:
    app.register_error_handler(DomainError, _render_domain_error)
    app.register_error_handler(HTTPException, _render_http_error)
    app.register_error_handler(DBAPIError, _render_database_error)
    app.register_error_handler(PoolTimeout, _render_database_error)
    app.register_error_handler(StaleDataError, _render_stale)
    app.register_error_handler(Exception, _render_unexpected)


def problem_response(body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(_dump(body), status=body["status"], headers=headers, content_type=PROBLEM_JSON)


def _render_domain_error(error: DomainError) -> Response:
    end_request_session(commit=error.keeps_changes)
    return problem_response(error.as_problem(), error.headers)


def _render_http_error(error: HTTPException) -> Response:
    end_request_session(commit=False)
    if error.response is not None:
        return cast(Response, error.response)
    status = error.code or 500
    headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
    code = _CODES.get(status, "internal_error" if status >= 500 else "bad_request")
    return problem_response(problem(status, code), headers)


def _render_database_error(error: DBAPIError | PoolTimeout) -> Response:
    end_request_session(commit=False)
    if isinstance(error, IntegrityError):
        log.warning("integrity_error", constraint=getattr(error.orig.diag, "constraint_name", None))  # type: ignore[union-attr]
        return _render_domain_error(Conflict("This conflicts with what is stored."))
    if isinstance(error, DataError):
        return _render_domain_error(Invalid("A value is out of range."))
    if isinstance(error, DBAPIError) and (reason := getattr(error.orig, "pgcode", None)) in _BUSY:
        log.warning("database_busy", sqlstate=reason)
        return _render_domain_error(Unavailable("The database is busy; try again."))
    if isinstance(error, OperationalError | PoolTimeout) or error.connection_invalidated:
        log.warning("database_unavailable", error=type(error).__name__)
        return _render_domain_error(Unavailable("The database cannot be reached; try again."))
    return _render_unexpected(error)


def _render_stale(_error: StaleDataError) -> Response:
    return _render_domain_error(Conflict("What was to be changed is gone."))


def _render_unexpected(error: Exception) -> Response:
    end_request_session(commit=False)
    log.error("unexpected_error", exc_info=error)
    return problem_response(problem(500, "internal_error", "Something went wrong on our side."))
