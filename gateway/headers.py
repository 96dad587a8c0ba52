"""Which header fields cross the gateway, in both directions."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from gateway.http1 import HOP_BY_HOP

_HOP_BY_HOP_KEYS = frozenset(f"HTTP_{name.upper().replace('-', '_')}" for name in HOP_BY_HOP)
_OWN_KEYS = frozenset(
    {"HTTP_HOST", "HTTP_EXPECT", "HTTP_FORWARDED", "HTTP_PROXY", "HTTP_REMOTE_USER", "HTTP_TRACEPARENT", "HTTP_VIA"}
    | {
        "HTTP_X_REQUEST_ID",
        "HTTP_X_REAL_IP",
        "HTTP_TRUE_CLIENT_IP",
        "HTTP_X_REWRITE_URL",
        "HTTP_X_HTTP_METHOD_OVERRIDE",
    }
    | {"HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE"}
)
_IDENTITY_PREFIXES = tuple(
    f"HTTP_X_{name}"
    for name in ["USER", "AUTH", "PRINCIPAL", "REMOTE", "FORWARDED", "INTERNAL", "ORIGINAL", "SERVICE", "CLIENT"]
)
"""As WSGI spells them, where `X-User-Id` and `X_User_Id` are one key: no spelling gets by."""
_DROPPED_ANSWER_FIELDS = frozenset(["server", "date", "x-powered-by", "x-request-id"])


@lru_cache(maxsize=2048)
def _field_name(key: str) -> str | None:
    """The field name of a WSGI key, or None for a field that no client may send through."""
    if not key.startswith("HTTP_") or key in _HOP_BY_HOP_KEYS or key in _OWN_KEYS:
        return None
    if key.startswith(_IDENTITY_PREFIXES):
        return None
    return key[5:].replace("_", "-").title()


def request_fields(environ: dict[str, Any]) -> list[tuple[str, str]]:
    """What the client sent, less identities, less what is meant for this hop only (RFC 9110 section 7.6.1)."""
    fields = [(name, value) for key, value in environ.items() if (name := _field_name(key))]
    if environ.get("CONTENT_TYPE"):
        fields.append(("Content-Type", environ["CONTENT_TYPE"]))
    if connection := environ.get("HTTP_CONNECTION"):
        named = {each.strip().lower() for each in connection.split(",")}
        if not named <= {"close", "keep-alive", ""}:
            fields = [each for each in fields if each[0].lower() not in named]
    return fields


def answer_fields(fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """What the service sent, less what the gateway says itself, or does not say about the house."""
    return [
        each
        for each in fields
        if (key := each[0].lower()) not in _DROPPED_ANSWER_FIELDS and not key.startswith("access-control-")
    ]


def origin_fields(fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Which pages may read the answer, as the service says it. Never with the browser's own credentials."""
    allowed = [each for each in fields if each[0].lower().startswith("access-control-")]
    return [each for each in allowed if each[0].lower() != "access-control-allow-credentials"]
