"""Every environment variable that the review service reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from environs import Env

from common.config import ServiceConfig


@dataclass(frozen=True, kw_only=True)
class ReviewConfig(ServiceConfig):
    service: ClassVar[str] = "review"
    schema: ClassVar[str] = "reviews"

    require_purchase: bool
    order_url: str
    catalog_url: str

    @classmethod
    def read(cls, env: Env) -> dict[str, Any]:
        """`REVIEWS_REQUIRE_PURCHASE`: only who has bought a book may review it."""
        return super().read(env) | {
            "require_purchase": env.bool("REVIEWS_REQUIRE_PURCHASE", True),
            "order_url": env.str("ORDER_URL", "http://127.0.0.1:8103"),
            "catalog_url": env.str("CATALOG_URL", "http://127.0.0.1:8102"),
        }
