"""Every environment variable that the order service reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

from environs import Env, validate

from common.config import ServiceConfig, secret

MOST_CONNECTIONS = 8


@dataclass(frozen=True, kw_only=True)
class OrderConfig(ServiceConfig):
    service: ClassVar[str] = "order"
    schema: ClassVar[str] = "orders"
    extensions: ClassVar[tuple[str, ...]] = ("pg_trgm",)
    usual_threads: ClassVar[int] = 48

    catalog_url: str
    order_url: str
    payment_provider: str
    stripe_api_key: str = field(repr=False)
    stripe_webhook_secret: str = field(repr=False)
    stripe_api_url: str
    stripe_timeout: float
    payment_ttl: timedelta
    decision_ttl: timedelta
    redrive_after: timedelta
    invoice_seller: str
    stream_heartbeat: float
    streams_per_person: int
    streams_per_address: int

    @property
    def web_connections(self) -> int:
        """Most threads wait for somebody else, and hold no connection meanwhile."""
        return min(self.web_threads, MOST_CONNECTIONS)

    @property
    def most_waiting_payments(self) -> int:
        """Requests that wait for the payment provider keep a thread; a third of the threads is for all that wait for
        nobody, and the rest for those that wait for the catalog, or for a document."""
        return max(1, self.web_threads // 3)

    @property
    def most_waiting_decisions(self) -> int:
        return max(1, self.web_threads // 6)

    @property
    def most_waiting_documents(self) -> int:
        return max(1, self.web_threads // 6)

    @classmethod
    def read(cls, env: Env) -> dict[str, Any]:
        """`ORDER_PAYMENT_TTL` and `ORDER_DECISION_TTL` are seconds: how long an order may wait for its payment, and
        for the catalog's word about its stock, before it is cancelled. After every
        `ORDER_REDRIVE_AFTER` seconds of waiting the catalog is asked again. Stripe's secrets are needed where it is
        the provider. A stream says something at least every `STREAM_HEARTBEAT` seconds."""
        positive = validate.Range(min=1)
        common = super().read(env)
        provider = _provider(env, is_production=common["environment"] == "production")
        unless_needed = None if provider == "stripe" else ""
        return common | {
            "catalog_url": str(env.str("CATALOG_URL", "http://127.0.0.1:8102")).rstrip("/"),
            "order_url": str(env.str("ORDER_URL", "http://127.0.0.1:8103")).rstrip("/"),
            "payment_provider": provider,
            "stripe_api_key": secret(env, "STRIPE_API_KEY", unless_needed),
            "stripe_webhook_secret": secret(env, "STRIPE_WEBHOOK_SECRET", unless_needed),
            "stripe_api_url": str(env.str("STRIPE_API_URL", "https://api.stripe.com")).rstrip("/"),
            "stripe_timeout": env.float("STRIPE_TIMEOUT", 8.0, validate=validate.Range(min=0.1, max=12)),
            "payment_ttl": timedelta(seconds=env.int("ORDER_PAYMENT_TTL", 1800, validate=positive) or 0),
            "decision_ttl": timedelta(seconds=env.int("ORDER_DECISION_TTL", 900, validate=positive) or 0),
            "redrive_after": timedelta(seconds=env.int("ORDER_REDRIVE_AFTER", 120, validate=positive) or 0),
            "stream_heartbeat": env.float("STREAM_HEARTBEAT", 15.0, validate=validate.Range(min=0.05, max=60)),
            **_stream_limits(env),
            "invoice_seller": str(env.str("INVOICE_SELLER", "Bookstore")).replace("\\n", "\n"),
        }


def _stream_limits(env: Env) -> dict[str, int]:
    """How many live streams a process keeps open; 0 is no limit."""
    limited = env.bool("RATE_LIMITS_ENABLED", True)
    usual = {"streams_per_person": 5, "streams_per_address": 20}
    given = {name: env.int(name.upper(), most, validate=validate.Range(min=0)) or 0 for name, most in usual.items()}
    return given if limited else dict.fromkeys(usual, 0)


def _provider(env: Env, *, is_production: bool) -> str | None:
    """A store in earnest must say who charges: the simulator takes everybody's word for their money."""
    known = validate.OneOf(["simulator", "stripe"])
    if is_production:
        return env.str("PAYMENT_PROVIDER", validate=known)
    return env.str("PAYMENT_PROVIDER", "simulator", validate=known)
