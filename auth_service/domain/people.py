"""All that the auth service holds about a person, but for what lets them in."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from auth_service.models import AuditEntry, Consent, Identity, Passkey, SignInSession, TokenFamily, Totp, User

HELD: dict[str, tuple[Any, tuple[str, ...]]] = {
    "sessions": (SignInSession, ("id", "user_agent", "address", "authenticated_at", "last_seen_at", "ended_at")),
    "connections": (TokenFamily, ("client_id", "scope", "created_at", "expires_at", "revoked_at", "revoked_because")),
    "consents": (Consent, ("client_id", "scope", "granted_at")),
    "identities": (Identity, ("provider", "subject", "label", "created_at")),
    "passkeys": (Passkey, ("name", "created_at", "last_used_at")),
    "authenticator_apps": (Totp, ("created_at", "confirmed_at")),
}
"""Each list of the export: which rows of the person's, and what of them. An app counts once it is confirmed."""


def data(session: Session, user: User) -> dict[str, Any]:
    held = {
        name: _rows(session, model, names, model.__table__.c.user_id == user.id)
        for name, (model, names) in HELD.items()
    }
    about = AuditEntry.__table__.c
    mine = (about.resource == "user") & (about.resource_id == str(user.id)) | (about.actor_id == str(user.id))
    return held | {"audit": _rows(session, AuditEntry, ("at", "action", "resource", "resource_id"), mine)}


def _rows(session: Session, model: Any, names: tuple[str, ...], mine: Any) -> list[dict[str, Any]]:
    columns = [model.__table__.c[name] for name in names]
    return [dict(row) for row in session.execute(select(*columns).where(mine).order_by(columns[0])).mappings()]
