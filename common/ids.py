"""Identifiers: UUID version 7 (RFC 9562 section 5.7), so that a primary key grows with time."""

from datetime import datetime
from uuid import UUID

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    return uuid7()


def first_id(moment: datetime) -> UUID:
    """No id that was made at this moment or later is smaller."""
    milliseconds = int(moment.timestamp() * 1000)
    return UUID(int=milliseconds << 80)
