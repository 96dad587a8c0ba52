"""Identifiers: UUID version 7 (RFC 9562 section 5.7), so that a primary key grows with time."""

from uuid import UUID

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    return uuid7()
