"""Every environment variable that the gateway reads."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlsplit

from environs import Env, ValidationError, validate
from limits import RateLimitItem

from common.config import Config, secret
from gateway.body import Patience
from gateway.ratelimit import parsed_limits
from gateway.routes import Limit, Takes
from gateway.upstream import Timeouts

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE
MIN_KEY_LENGTH = 32
WORKERS = ("auth", "catalog", "order", "review")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, kw_only=True)
class GatewayConfig(Config):
    service: ClassVar[str] = "gateway"
    worker_class: ClassVar[str] = "gateway.worker.GatewayWorker"

    catalog_url: str
    order_url: str
    order_stream_url: str
    review_url: str
    worker_urls: dict[str, str]
    metrics_host: str
    metrics_port: int
    body_limits: dict[Takes, int]
    bodies_limit: int
    cache_bytes: int
    client_head_seconds: float
    patience: Patience
    cors_origins: frozenset[str]
    trusted_proxies: tuple[Network, ...]
    timeouts: Timeouts
    rate_limits: dict[Limit, RateLimitItem]
    """Empty when nothing is limited."""
    rate_limit_url: str = field(repr=False)
    requests_per_person: int
    """At once; 0 is no limit."""
    session_keys: tuple[str, ...] = field(repr=False)
    portal_secrets: dict[str, str] = field(repr=False)
    """The secret of each portal's OAuth client, by the portal's name."""

    @property
    def is_https(self) -> bool:
        return self.public_url.startswith("https://")

    @property
    def service_urls(self) -> dict[str, str]:
        """The services by the names that the route table uses."""
        return {
            "auth": self.auth_url,
            "catalog": self.catalog_url,
            "order": self.order_url,
            "order-stream": self.order_stream_url,
            "review": self.review_url,
        }

    @classmethod
    def read(cls, env: Env) -> dict[str, Any]:
        return super().read(env) | {
            "catalog_url": _internal_url(env, "CATALOG_URL", "http://127.0.0.1:8102"),
            "order_url": _internal_url(env, "ORDER_URL", "http://127.0.0.1:8103"),
            "order_stream_url": _internal_url(env, "ORDER_STREAM_URL", "http://127.0.0.1:8105"),
            "review_url": _internal_url(env, "REVIEW_URL", "http://127.0.0.1:8104"),
            "worker_urls": {name: url for name in WORKERS if (url := _worker_url(env, name))},
            "metrics_host": env.str("METRICS_HOST", "127.0.0.1"),
            "metrics_port": env.int("METRICS_PORT", 0, validate=validate.Range(min=0, max=65535)),
            "body_limits": {
                Takes.JSON: _bytes(env, "BODY_LIMIT", 256 * KIBIBYTE),
                Takes.FILE: _bytes(env, "FILE_LIMIT", 12 * MEBIBYTE),
                Takes.FILES: _bytes(env, "FILES_LIMIT", 128 * MEBIBYTE),
            },
            "bodies_limit": _bytes(env, "BODIES_LIMIT", 1024 * MEBIBYTE),
            "cache_bytes": env.int("GATEWAY_CACHE_BYTES", 64 * MEBIBYTE, validate=validate.Range(min=0)),
            "client_head_seconds": _seconds(env, "CLIENT_HEAD_SECONDS", 10.0),
            "patience": Patience(
                block=_seconds(env, "CLIENT_BLOCK_SECONDS", 10.0),
                whole=_seconds(env, "CLIENT_BODY_SECONDS", 900.0),
                least_speed=_bytes(env, "CLIENT_LEAST_SPEED", 4 * KIBIBYTE),
            ),
            "cors_origins": frozenset(env.list("CORS_ORIGINS", [], validate=_each(_check_origin)) or ()),
            "trusted_proxies": _networks(env),
            "timeouts": _timeouts(env),
            "rate_limits": _rate_limits(env),
            "rate_limit_url": _rate_limit_url(env),
            "requests_per_person": _requests_per_person(env),
            "session_keys": _session_keys(env),
            "portal_secrets": {
                "shop": secret(env, "SHOP_CLIENT_SECRET"),
                "admin": secret(env, "ADMINISTRATION_CLIENT_SECRET"),
            },
        }


def _rate_limits(env: Env) -> dict[Limit, RateLimitItem]:
    """RATE_LIMITS like `search=300/minute,writes=100/minute`: what is not named stays as it is usually."""
    given: dict[str, str] | None = env.dict("RATE_LIMITS", {}, validate=_check_limits)
    return parsed_limits(given or {}) if env.bool("RATE_LIMITS_ENABLED", True) else {}


def _requests_per_person(env: Env) -> int:
    most: int = env.int("REQUESTS_PER_PERSON", 16, validate=validate.Range(min=0))
    return most if env.bool("RATE_LIMITS_ENABLED", True) else 0


def _check_limits(given: dict[str, str]) -> None:
    try:
        parsed_limits(given)
    except ValueError as error:
        raise ValidationError(str(error)) from None


def _rate_limit_url(env: Env) -> str:
    if not secret(env, "RATE_LIMIT_URL", ""):
        return ""
    return str(env.str("RATE_LIMIT_URL", "", validate=_check_redis))


def _check_redis(url: str) -> None:
    if urlsplit(url).scheme not in ("redis", "rediss", "redis+unix"):
        raise ValidationError("Not an address like redis://host:6379.")


def _session_keys(env: Env) -> tuple[str, ...]:
    """The first key seals, all of them open: to change it, put the new one in front."""
    if not secret(env, "SESSION_KEYS"):
        return ()
    return tuple(env.list("SESSION_KEYS", validate=_each(_check_key)) or ())


def _check_key(key: str) -> None:
    if len(key) < MIN_KEY_LENGTH:
        raise ValidationError(f"Each key needs at least {MIN_KEY_LENGTH} characters of randomness.")


def _timeouts(env: Env) -> Timeouts:
    return Timeouts(
        connect=_seconds(env, "UPSTREAM_CONNECT_SECONDS", 2.0),
        answer=_seconds(env, "UPSTREAM_ANSWER_SECONDS", 30.0),
        idle=_seconds(env, "UPSTREAM_IDLE_SECONDS", 75.0),
    )


def _bytes(env: Env, name: str, default: int) -> int:
    value = env.int(name, default, validate=validate.Range(min=1024))
    return default if value is None else value


def _seconds(env: Env, name: str, default: float) -> float:
    value = env.float(name, default, validate=validate.Range(min=0.05, max=3600))
    return default if value is None else value


def _internal_url(env: Env, name: str, default: str) -> str:
    return str(env.str(name, default, validate=_check_http)).rstrip("/")


def _worker_url(env: Env, service: str) -> str:
    """AUTH_WORKER_URL and so on: where a service's worker tells its health. Not asked when it is not set."""
    return str(env.str(f"{service.upper()}_WORKER_URL", "", validate=_check_http_if_given)).rstrip("/")


def _networks(env: Env) -> tuple[Network, ...]:
    """Proxies in front of us whose X-Forwarded-For is believed; nobody's by default."""
    return tuple(map(ipaddress.ip_network, env.list("TRUSTED_NETWORKS", [], validate=_each(_check_network)) or ()))


def _each(check: Any) -> Any:
    return lambda values: [check(value) for value in values]


def _check_http(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/"):
        raise ValidationError("Not an address like http://host:port.")


def _check_http_if_given(url: str) -> None:
    if url:
        _check_http(url)


def _check_origin(origin: str) -> None:
    parts = urlsplit(origin)
    if parts.scheme not in ("http", "https") or origin != f"{parts.scheme}://{parts.netloc}".lower():
        raise ValidationError(f"Not an origin like https://shop.example: {origin}")


def _check_network(network: str) -> None:
    try:
        ipaddress.ip_network(network)
    except ValueError:
        raise ValidationError(f"Not a network like 10.0.0.0/8: {network}") from None
