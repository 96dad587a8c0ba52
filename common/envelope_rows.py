"""Envelopes as rows: the columns that the outbox, the inbox and the Postgres bus have in common."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sqlalchemy import Boolean, Column, DateTime, LargeBinary, Text, Uuid, false

from common.events import Envelope

_FIELDS = tuple(field.name for field in fields(Envelope))


def columns() -> list[Column[Any]]:
    return [
        Column("id", Uuid, nullable=False),
        Column("name", Text, nullable=False),
        Column("key", Text, nullable=False),
        Column("body", LargeBinary, nullable=False),
        Column("urgent", Boolean, nullable=False, server_default=false()),
        Column("request_id", Text),
        Column("traceparent", Text),
        Column("recorded_at", DateTime(timezone=True), nullable=False),
    ]


def to_row(envelope: Envelope) -> dict[str, Any]:
    return {name: getattr(envelope, name) for name in _FIELDS}


def from_row(row: Any) -> Envelope:
    return Envelope(**{name: getattr(row, name) for name in _FIELDS})
