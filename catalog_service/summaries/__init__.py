"""Summaries by a provider, which is chosen by a setting."""

from __future__ import annotations

from catalog_service.config import CatalogConfig
from catalog_service.summaries.provider import NotWritten, Provider


def open_provider(config: CatalogConfig) -> Provider | None:
    """The provider that SUMMARY_PROVIDER names; None without one, or without its key."""
    if not config.summary_api_key:
        return None
    if config.summary_provider == "openai":
        from catalog_service.summaries.openai import OpenAiProvider  # noqa: PLC0415 - its package is optional

        return OpenAiProvider(config)
    if config.summary_provider == "cohere":
        from catalog_service.summaries.cohere import CohereProvider  # noqa: PLC0415

        return CohereProvider(config)
    return None


__all__ = ["NotWritten", "Provider", "open_provider"]
