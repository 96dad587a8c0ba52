"""Every environment variable that the order service reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from environs import Env, validate

from common.config import ServiceConfig


@dataclass(frozen=True, kw_only=True)
class OrderConfig(ServiceConfig):
    service: ClassVar[str] = "order"
    schema: ClassVar[str] = "orders"

    catalog_url: str
    payment_provider: str
    payment_ttl: timedelta
    decision_ttl: timedelta
    redrive_after: timedelta
    invoice_seller: str

    @classmethod
    def read(cls, env: Env) -> dict[str, Any]:
        """`ORDER_PAYMENT_TTL` and `ORDER_DECISION_TTL` are seconds: how long an order may wait for its payment, and
        for the catalog's word about its stock, before it is cancelled. After every
        `ORDER_REDRIVE_AFTER` seconds of waiting the catalog is asked again."""
        positive = validate.Range(min=1)
        return super().read(env) | {
            "catalog_url": str(env.str("CATALOG_URL", "http://127.0.0.1:8102")).rstrip("/"),
            "payment_provider": env.str("PAYMENT_PROVIDER", "simulator", validate=validate.OneOf(["simulator"])),
            "payment_ttl": timedelta(seconds=env.int("ORDER_PAYMENT_TTL", 1800, validate=positive) or 0),
            "decision_ttl": timedelta(seconds=env.int("ORDER_DECISION_TTL", 900, validate=positive) or 0),
            "redrive_after": timedelta(seconds=env.int("ORDER_REDRIVE_AFTER", 120, validate=positive) or 0),
            "invoice_seller": str(env.str("INVOICE_SELLER", "Bookstore")).replace("\\n", "\n"),
        }
