"""Summaries by OpenAI, or by anything that speaks its chat completions."""

from __future__ import annotations

from typing import Any, cast

from openai import OpenAI, OpenAIError

from catalog_service.config import CatalogConfig
from catalog_service.summaries.provider import MAX_TOKENS, NotWritten, checked, messages

MODEL = "gpt-4o-mini"


class OpenAiProvider:
    def __init__(self, config: CatalogConfig) -> None:
        self._model = config.summary_model or MODEL
        self.source = f"openai:{self._model}"
        self._client = OpenAI(
            api_key=config.summary_api_key,
            base_url=config.summary_base_url,
            timeout=config.summary_timeout,
            max_retries=0,
        )

    def write(self, title: str, description: str) -> str:
        prompt = cast(Any, messages(title, description))
        try:
            answer = self._client.chat.completions.create(model=self._model, messages=prompt, max_tokens=MAX_TOKENS)
            text = answer.choices[0].message.content
        except (OpenAIError, ValueError, LookupError, AttributeError, TypeError) as error:
            raise NotWritten(type(error).__name__) from error
        return checked(text)
