"""A reader of Server-Sent Events, as the HTML standard's section 9.2 interprets them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import requests


@dataclass(frozen=True, slots=True)
class ServerEvent:
    name: str
    data: str
    last_id: str


class EventSource:
    """One connection; `last_id` is what to come back with. `comments` counts heartbeats."""

    def __init__(
        self, url: str, headers: dict[str, str], *, last_id: str | None = None, timeout: float = 10, **options: Any
    ) -> None:
        sent = headers | {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
        self.last_id = last_id or ""
        self.retry: int | None = None
        self.comments = 0
        self.answer = requests.get(url, headers=sent, stream=True, timeout=timeout, **options)
        self._events = self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.answer.close()

    def __iter__(self) -> Iterator[ServerEvent]:
        return self._events

    def next(self) -> ServerEvent:
        """Raises StopIteration when the stream has ended."""
        return next(self._events)

    def _read(self) -> Iterator[ServerEvent]:
        name, data = "message", list[str]()
        for raw in self.answer.iter_lines(chunk_size=1):
            line = raw.decode()
            if not line:
                if data:
                    yield ServerEvent(name, "\n".join(data), self.last_id)
                name, data = "message", []
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            match field:
                case "" if line:
                    self.comments += 1
                case "event":
                    name = value
                case "data":
                    data.append(value)
                case "id":
                    self.last_id = value
                case "retry":
                    self.retry = int(value)
