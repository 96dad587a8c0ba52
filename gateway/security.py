"""What browsers are told about every answer, and which other origins may read it."""

from __future__ import annotations

from typing import Any

from gateway.problems import Fields

ONE_YEAR_SECONDS = 31_536_000
PREFLIGHT_SECONDS = "600"
_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_REQUEST_FIELDS = (
    "Authorization, Content-Type, DPoP, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Prefer, X-Request-ID, "
    "traceparent, tracestate"
)
_ANSWER_FIELDS = (
    "ETag, Idempotency-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, "
    "X-Request-ID, Content-Disposition, DPoP-Nonce"
)
_TOKEN_SCHEMES = ("Bearer ", "DPoP ")


class SecurityHeaders:
    """Defaults: a service that serves pages sends a content security policy of its own, which stays."""

    def __init__(self, public_url: str) -> None:
        self._metadata = f', resource_metadata="{public_url}/.well-known/oauth-protected-resource"'
        self._fields = {
            "content-security-policy": ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
            "x-content-type-options": ("X-Content-Type-Options", "nosniff"),
            "x-frame-options": ("X-Frame-Options", "DENY"),
            "referrer-policy": ("Referrer-Policy", "same-origin"),
        }
        if public_url.startswith("https:"):
            value = f"max-age={ONE_YEAR_SECONDS}; includeSubDomains"
            self._fields["strict-transport-security"] = ("Strict-Transport-Security", value)

    def add(self, fields: Fields) -> None:
        present = {name.lower() for name, _ in fields}
        fields += [field for key, field in self._fields.items() if key not in present]

    def point_to_metadata(self, fields: Fields) -> None:
        """Tell in challenges for a token where to learn how to get one (RFC 9728 section 5.1)."""
        for index, (name, value) in enumerate(fields):
            if name.lower() == "www-authenticate" and value.startswith(_TOKEN_SCHEMES):
                fields[index] = (name, value + self._metadata)


class Cors:
    """The Fetch standard's CORS protocol, for an allow-list of origins. Without one, nothing is ever allowed."""

    def __init__(self, origins: frozenset[str]) -> None:
        self._origins = origins

    def is_preflight(self, environ: dict[str, Any]) -> bool:
        return (
            environ["REQUEST_METHOD"] == "OPTIONS"
            and "HTTP_ORIGIN" in environ
            and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
        )

    def preflight_fields(self, environ: dict[str, Any]) -> Fields:
        fields: Fields = [("Content-Length", "0")]
        if environ["HTTP_ORIGIN"] in self._origins:
            fields += [
                ("Access-Control-Allow-Methods", _METHODS),
                ("Access-Control-Allow-Headers", _REQUEST_FIELDS),
                ("Access-Control-Max-Age", PREFLIGHT_SECONDS),
            ]
        return fields

    def add(self, environ: dict[str, Any], fields: Fields) -> None:
        if not self._origins:
            return
        _vary_by_origin(fields)
        origin = environ.get("HTTP_ORIGIN")
        if origin in self._origins:
            fields += [
                ("Access-Control-Allow-Origin", origin),
                ("Access-Control-Allow-Credentials", "true"),
                ("Access-Control-Expose-Headers", _ANSWER_FIELDS),
            ]


def _vary_by_origin(fields: Fields) -> None:
    for index, (name, value) in enumerate(fields):
        if name.lower() == "vary":
            fields[index] = (name, f"{value}, Origin")
            return
    fields.append(("Vary", "Origin"))
