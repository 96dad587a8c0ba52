"""Every environment variable that the review service reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from environs import Env, validate

from common.config import ServiceConfig


@dataclass(frozen=True, kw_only=True)
class ReviewConfig(ServiceConfig):
    service: ClassVar[str] = "review"
    schema: ClassVar[str] = "reviews"

    require_purchase: bool
    burst_count: int
    burst_seconds: int
    order_url: str
    catalog_url: str

    @classmethod
    def read(cls, env: Env) -> dict[str, Any]:
        """`REVIEWS_REQUIRE_PURCHASE`: only who has bought a book may review it.

        `REVIEWS_BURST_COUNT` low ratings of one book within `REVIEWS_BURST_SECONDS` are a burst, which the staff see.
        """
        positive = validate.Range(min=1)
        return super().read(env) | {
            "require_purchase": env.bool("REVIEWS_REQUIRE_PURCHASE", True),
            "burst_count": env.int("REVIEWS_BURST_COUNT", 10, validate=positive),
            "burst_seconds": env.int("REVIEWS_BURST_SECONDS", 3600, validate=positive),
            "order_url": env.str("ORDER_URL", "http://127.0.0.1:8103"),
            "catalog_url": env.str("CATALOG_URL", "http://127.0.0.1:8102"),
        }
