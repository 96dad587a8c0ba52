"""Logs as one JSON object a line, and the identifiers that tie one cause's lines together across processes."""

from __future__ import annotations

import logging
import re
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog

from common.ids import new_id

REQUEST = "request"
"""The event of the line that every answered request gets, with its method, route, status and ms."""

_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
_traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)

_TRACEPARENT = re.compile(r"^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$")
_REQUEST_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,127}$")


def request_id() -> str | None:
    return _request_id.get()


def traceparent() -> str | None:
    """The W3C Trace Context header value to send on with calls and events made now."""
    return _traceparent.get()


def accept_request_id(given: str | None) -> str:
    """The caller's identifier when it is harmless to log and to send on, otherwise a new one."""
    return given if given and _REQUEST_ID.match(given) else str(new_id())


def continue_trace(given: str | None) -> str:
    """A traceparent for this hop: the caller's trace with a span of ours, or a new trace.

    W3C Trace Context, section 3.2: an invalid value is ignored and a new trace begins.
    """
    match = _TRACEPARENT.match(given or "")
    trace, flags = (match[1], match[3]) if match else (secrets.token_hex(16), "01")
    return f"00-{trace}-{secrets.token_hex(8)}-{flags}"


@contextmanager
def correlated(request: str | None, parent: str | None) -> Iterator[None]:
    """Everything logged, called and recorded inside belongs to this request and trace."""
    tokens = _request_id.set(accept_request_id(request)), _traceparent.set(continue_trace(parent))
    try:
        yield
    finally:
        _request_id.reset(tokens[0])
        _traceparent.reset(tokens[1])


def bind_correlation(request: str, parent: str) -> None:
    """As `correlated`, for a request that owns its context until the next one begins."""
    _request_id.set(request)
    _traceparent.set(parent)


def configure_logging(service: str, level: str, log_format: str) -> None:
    """Send structlog's and the standard library's records through one formatter to stderr."""
    global _write_request  # noqa: PLW0603 - one for the process, as the logging itself
    _write_request = _request_writer(service, level, log_format)
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_correlation(service),
    ]
    last: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if log_format == "json"
        else [structlog.processors.format_exc_info, _for_people]
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def log_request(method: str, route: str, status: int, seconds: float) -> None:
    """The line of an answered request, which every request pays for: written as all others look, without their way."""
    _write_request(method, route, status, round(seconds * 1000, 1))


def _request_writer(service: str, level: str, log_format: str) -> Callable[[str, str, int, float], None]:
    if logging.getLevelName(level) > logging.INFO:
        return lambda *_: None

    def in_json(method: str, route: str, status: int, ms: float) -> None:
        line: dict[str, Any] = {"event": REQUEST, "level": "info", "logger": REQUEST, "service": service}
        line |= {"timestamp": _now(), "method": method, "route": route, "status": status, "ms": ms}
        if current := _request_id.get():
            line["request_id"] = current
        if parent := _traceparent.get():
            line["trace_id"] = parent[3:35]
        sys.stderr.write(orjson.dumps(line).decode() + "\n")

    def for_people(method: str, route: str, status: int, ms: float) -> None:
        sys.stderr.write(f"{_now()[11:19]} {status} {method} {route} {ms} ms {(_request_id.get() or '')[-8:]}\n")

    return in_json if log_format == "json" else for_people


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


_write_request: Callable[[str, str, int, float], None] = lambda *_: None  # noqa: E731 - until logging is configured


def _for_people(_logger: Any, _method: str, event: structlog.typing.EventDict) -> str:
    """One short line: the second of the day, what happened, and the end of the request's id, by which to find more."""
    when, name, level = str(event.pop("timestamp"))[11:19], event.pop("event"), event.pop("level")
    request, trace = str(event.pop("request_id", ""))[-8:], str(event.pop("exception", ""))
    for field in ("logger", "service", "trace_id"):
        event.pop(field, None)
    said = " ".join([f"[{level}] {name}", *(f"{key}={value}" for key, value in event.items())])
    return f"{when} {said} {request}".rstrip() + (f"\n{trace}" if trace else "")


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    return structlog.stdlib.get_logger(name)


def _add_correlation(service: str) -> structlog.typing.Processor:
    def add(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["service"] = service
        if current := _request_id.get():
            event.setdefault("request_id", current)
        if parent := _traceparent.get():
            event.setdefault("trace_id", parent.split("-")[1])
        return event

    return add
