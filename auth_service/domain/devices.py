"""The device grant (RFC 8628): codes for a device without a browser, allowed by a person who has one elsewhere."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from auth_service.domain import consents, scopes, sessions
from auth_service.domain.oauth.errors import InvalidGrant, OAuthRefusal
from auth_service.domain.secrecy import digest
from auth_service.models import Client, DeviceCode, SignInSession, User
from common.db import utcnow
from common.errors import BadRequest

LIFE = timedelta(minutes=10)
INTERVAL = 5
SLOWER = 5
# RFC 8628 section 6.1: no vowels, so that no code is a word; 20^8 codes, against guesses that are counted.
ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
LENGTH = 8


class NoSuchCode(BadRequest):
    """Kept, so that guesses count."""

    code = "unknown_user_code"
    keeps_changes = True


class StillWaiting(OAuthRefusal):
    """When it was asked last is kept (RFC 8628 section 3.5)."""

    keeps_changes = True


@dataclass(frozen=True, slots=True)
class Codes:
    device_code: str
    user_code: str

    def as_response(self, issuer: str) -> dict[str, Any]:
        uri = f"{issuer}/account/device"
        return {
            "device_code": self.device_code,
            "user_code": self.user_code,
            "verification_uri": uri,
            "verification_uri_complete": f"{uri}?user_code={self.user_code}",
            "expires_in": int(LIFE.total_seconds()),
            "interval": INTERVAL,
        }


def start(session: Session, client: Client, scope: str, resources: Sequence[str]) -> Codes:
    letters = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    made = Codes(secrets.token_urlsafe(32), f"{letters[:4]}-{letters[4:]}")
    session.add(
        DeviceCode(
            device_hash=digest(made.device_code),
            user_code_hash=digest(letters),
            client_id=client.client_id,
            scope=scope,
            resources=list(resources),
            interval=INTERVAL,
            expires_at=utcnow() + LIFE,
        )
    )
    session.flush()
    return made


def waiting(session: Session, user_code: str) -> tuple[DeviceCode, Client]:
    """The device that shows this code, however it was typed. Raises NoSuchCode."""
    letters = "".join(each for each in user_code.upper() if each in ALPHABET)
    found = session.execute(
        select(DeviceCode, Client)
        .join(Client, Client.client_id == DeviceCode.client_id)
        .where(
            DeviceCode.user_code_hash == digest(letters),
            DeviceCode.state == "pending",
            DeviceCode.expires_at > utcnow(),
        )
        .with_for_update(of=DeviceCode)
    ).one_or_none()
    if found is None:
        raise NoSuchCode("This code is not known, or has expired. Look at your device again.")
    return found[0], found[1]


def allow(
    session: Session, device: DeviceCode, client: Client, by: SignInSession, user: User, *, life: timedelta
) -> None:
    """The device gets a sign-in of its own, which outlives the browser's and can be ended by itself.

    What an app of somebody else was allowed is remembered, as at /authorize.
    """
    started = sessions.start(session, user, life=life, user_agent=client.client_name, address=by.address)
    started.authenticated_at, started.amr = by.authenticated_at, by.amr
    device.scope = scopes.within(device.scope.split(), user.role)
    device.session_id, device.state = started.id, "allowed"
    if not client.trusted:
        consents.give(session, user.id, client, device.scope)


def redeem(session: Session, device_code: str, client_id: str) -> tuple[DeviceCode, SignInSession]:
    """The code, now used, and who allowed it. Raises InvalidGrant, StillWaiting or OAuthRefusal."""
    statement = select(DeviceCode).where(DeviceCode.device_hash == digest(device_code))
    device = session.scalar(statement.with_for_update().execution_options(populate_existing=True))
    if device is None or device.client_id != client_id or device.state == "used":
        raise InvalidGrant("The device_code is not valid.")
    if device.expires_at <= utcnow():
        raise OAuthRefusal("expired_token", "The device_code has expired.")
    if device.state == "denied":
        raise OAuthRefusal("access_denied", "The person did not allow this.")
    sign_in = session.get(SignInSession, device.session_id) if device.session_id else None
    if sign_in is None:
        raise _still_waiting(device)
    if not sign_in.is_live:
        raise InvalidGrant("The sign-in has ended.")
    device.state = "used"
    return device, sign_in


def _still_waiting(device: DeviceCode) -> StillWaiting:
    now = utcnow()
    hasty = device.polled_at is not None and now - device.polled_at < timedelta(seconds=device.interval - 1)
    device.polled_at = now
    if hasty:
        device.interval += SLOWER
        return StillWaiting("slow_down", f"Ask every {device.interval} seconds.")
    return StillWaiting("authorization_pending", "Nobody has decided yet.")
