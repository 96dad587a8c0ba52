"""What travels around an event: its identity, its place in a trace, and its payload as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Envelope:
    """One event on its way from an outbox to the inboxes. `body` is the event's JSON."""

    id: UUID
    name: str
    key: str
    body: bytes
    recorded_at: datetime
    urgent: bool = False
    request_id: str | None = None
    traceparent: str | None = None
