"""Summaries by Cohere."""

from __future__ import annotations

from typing import Any, cast

import cohere
import httpx
from cohere.core import ApiError

from catalog_service.config import CatalogConfig
from catalog_service.summaries.provider import MAX_TOKENS, NotWritten, checked, messages

MODEL = "command-r-08-2024"


class CohereProvider:
    def __init__(self, config: CatalogConfig) -> None:
        self._model = config.summary_model or MODEL
        self.source = f"cohere:{self._model}"
        self._client = cohere.ClientV2(
            config.summary_api_key,
            base_url=config.summary_base_url,
            timeout=config.summary_timeout,
            max_retries=0,
        )

    def write(self, title: str, description: str) -> str:
        prompt = cast(Any, messages(title, description))
        try:
            answer = self._client.chat(model=self._model, messages=prompt, max_tokens=MAX_TOKENS)
            text = cast(Any, answer.message.content)[0].text
        except (ApiError, httpx.HTTPError, ValueError, LookupError, AttributeError, TypeError) as error:
            raise NotWritten(type(error).__name__) from error
        return checked(text)
