"""Every environment variable that the catalog service reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from environs import Env, validate

from common.config import ServiceConfig


@dataclass(frozen=True, kw_only=True)
class CatalogConfig(ServiceConfig):
    service: ClassVar[str] = "catalog"
    schema: ClassVar[str] = "catalog"
    extensions: ClassVar[tuple[str, ...]] = ("pg_trgm",)

    currency: str

    @classmethod
    def read(cls, env: Env) -> dict[str, Any]:
        """`CURRENCY` is the one currency (ISO 4217) that the shop's prices are in."""
        return super().read(env) | {
            "currency": env.str("CURRENCY", "USD", validate=validate.Regexp(r"^[A-Z]{3}$")),
        }
