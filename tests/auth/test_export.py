"""What the auth service holds about a person, in the export: all of it but for what lets somebody in."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from auth_service.domain import accounts, people
from auth_service.models import Base, Identity, Passkey, Totp, User
from common.db import utcnow

LEFT_OUT = {
    "users": "told as the account, beside these",
    "refresh_tokens": "let in, as hashes; the connection that they belong to is told",
    "authorization_codes": "let in, as hashes, for a minute",
    "device_codes": "let in, as hashes, for ten minutes; what comes of one is a session",
    "recovery_codes": "let in, as hashes",
    "tickets": "let in, as hashes, until a link of ours is used or expires",
    "logout_notices": "on their way to an app; the session whose end they tell is told",
}
NAMES_A_PERSON = {"user_id", "subject", "actor_id"}


def tables_about_people() -> set[str]:
    """Those that refer to a person, if only by way of others, or name one without referring."""
    tables = Base.metadata.tables.values()
    found = {"users"} | {table.name for table in tables if NAMES_A_PERSON & set(table.columns.keys())}
    while more := {table.name for table in tables if any(key.column.table.name in found for key in table.foreign_keys)}:
        if more <= found:
            return found
        found |= more
    return found


def test_every_table_about_people_is_told_of_or_left_out_for_a_reason() -> None:
    told = {model.__tablename__ for model, _ in people.HELD.values()} | {"audit"}
    assert told & LEFT_OUT.keys() == set()
    assert tables_about_people() == told | LEFT_OUT.keys()


def test_ways_to_sign_in_are_told_without_what_lets_in(session: Session) -> None:
    user = accounts.register(session, username="reader", email="reader@example.com", password="a walk at dusk")
    add_ways_in(session, user, since := utcnow())
    held = people.data(session, user)
    assert held["identities"] == [
        {"provider": "github", "subject": "4711", "label": "reader@github.example", "created_at": since}
    ]
    assert held["passkeys"] == [{"name": "Phone", "created_at": since, "last_used_at": None}]
    assert held["authenticator_apps"] == [{"created_at": since, "confirmed_at": since}]
    assert b"secret" not in values(held)


def test_nothing_of_others_is_told(session: Session) -> None:
    user, other = (
        accounts.register(session, username=name, email=f"{name}@example.com", password="a walk at dusk")
        for name in ("reader", "another")
    )
    add_ways_in(session, other, utcnow())
    assert not any(people.data(session, user).values())


def add_ways_in(session: Session, user: User, since: datetime) -> None:
    mine: dict[str, Any] = {"user_id": user.id, "created_at": since}
    session.add(Identity(provider="github", subject="4711", label="reader@github.example", **mine))
    session.add(Passkey(credential_id=b"secret", public_key=b"secret", sign_count=7, name="Phone", **mine))
    session.add(Totp(secret=b"secret", confirmed_at=since, **mine))
    session.flush()


def values(held: dict[str, Any]) -> list[Any]:
    return [value for rows in held.values() for row in rows for value in row.values()]
