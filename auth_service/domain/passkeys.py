"""Passkeys (WebAuthn): made for this store's host only, so that no other site can ask for them.

The authenticator checks the person (user verification), which makes a passkey two factors in one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID

import orjson
import webauthn
from sqlalchemy import select
from sqlalchemy.orm import Session
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from auth_service.domain import accounts, letters, tickets
from auth_service.models import Passkey, Ticket, User
from common.db import utcnow
from common.errors import Conflict, Invalid, NotFound, Unauthorized

LIFE = timedelta(minutes=5)
MOST_PER_PERSON = 20
MAX_NAME = 60
AMR = ("pop", "mfa")
_VERIFIED = UserVerificationRequirement.REQUIRED


class BadPasskey(Invalid):
    code = "invalid_passkey"


class UnknownPasskey(Unauthorized):
    code = "unknown_passkey"


class TooManyPasskeys(Conflict):
    code = "too_many_passkeys"


@dataclass(frozen=True, slots=True)
class Site:
    """For whom passkeys are made: the host, and the origin that browsers name (WebAuthn section 5.8.1)."""

    host: str
    origin: str

    @classmethod
    def of(cls, public_url: str) -> Site:
        parts = urlsplit(public_url)
        return cls(parts.hostname or "", f"{parts.scheme}://{parts.netloc}")


@dataclass(frozen=True, slots=True)
class Ceremony:
    """What the browser is asked for, as JSON, and the ticket that the answer has to come with."""

    options: str
    ticket: str


def of(session: Session, user_id: UUID) -> list[Passkey]:
    return list(session.scalars(select(Passkey).where(Passkey.user_id == user_id).order_by(Passkey.id)))


def begin_registration(session: Session, site: Site, user: User) -> Ceremony:
    """Raises TooManyPasskeys."""
    held = of(session, user.id)
    if len(held) >= MOST_PER_PERSON:
        raise TooManyPasskeys(f"An account has at most {MOST_PER_PERSON} passkeys.")
    options = webauthn.generate_registration_options(
        rp_id=site.host,
        rp_name="Bookstore",
        user_name=user.username,
        user_id=user.id.bytes,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=_VERIFIED
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=bytes(each.credential_id)) for each in held],
    )
    challenge = bytes_to_base64url(options.challenge)
    ticket = tickets.issue(session, tickets.PASSKEY_NEW, life=LIFE, user_id=user.id, challenge=challenge)
    return Ceremony(webauthn.options_to_json(options), ticket)


def finish_registration(session: Session, site: Site, user: User, *, ticket: str, answer: str, name: str) -> Passkey:
    """Raises BadPasskey."""
    taken = tickets.take(session, tickets.PASSKEY_NEW, ticket)
    if taken is None or taken.user_id != user.id:
        raise BadPasskey("This took too long. Please try again.")
    try:
        made = webauthn.verify_registration_response(
            credential=answer,
            expected_challenge=_challenge(taken),
            expected_rp_id=site.host,
            expected_origin=site.origin,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, TypeError, KeyError) as error:
        raise BadPasskey("The passkey could not be verified.") from error
    _require_new(session, made.credential_id)
    passkey = Passkey(
        user_id=user.id,
        credential_id=made.credential_id,
        public_key=made.credential_public_key,
        sign_count=made.sign_count,
        name=name.strip()[:MAX_NAME] or "Passkey",
    )
    session.add(passkey)
    session.flush()
    letters.write(session, user, "passkey_added", name=passkey.name)
    return passkey


def begin_sign_in(session: Session, site: Site) -> Ceremony:
    """For whoever has a passkey: which one, the browser asks the person."""
    options = webauthn.generate_authentication_options(rp_id=site.host, user_verification=_VERIFIED)
    challenge = bytes_to_base64url(options.challenge)
    ticket = tickets.issue(session, tickets.PASSKEY_SIGN_IN, life=LIFE, challenge=challenge)
    return Ceremony(webauthn.options_to_json(options), ticket)


def finish_sign_in(session: Session, site: Site, *, ticket: str, answer: str) -> User:
    """Whose passkey it is. Raises BadPasskey or UnknownPasskey."""
    taken = tickets.take(session, tickets.PASSKEY_SIGN_IN, ticket)
    if taken is None:
        raise BadPasskey("This took too long. Please try again.")
    user = accounts.active(session, _find(session, answer).user_id)
    if user is None:
        raise UnknownPasskey("This passkey is not known here.")
    passkey = _find(session, answer, to_use=True)
    _require_owner(answer, user)
    try:
        proved = webauthn.verify_authentication_response(
            credential=answer,
            expected_challenge=_challenge(taken),
            expected_rp_id=site.host,
            expected_origin=site.origin,
            credential_public_key=bytes(passkey.public_key),
            credential_current_sign_count=passkey.sign_count,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, TypeError, KeyError) as error:
        raise BadPasskey("The passkey could not be verified.") from error
    passkey.sign_count, passkey.last_used_at = proved.new_sign_count, utcnow()
    return user


def remove(session: Session, user: User, passkey_id: UUID) -> None:
    """Raises NotFound, also for anybody else's."""
    passkey = session.get(Passkey, passkey_id)
    if passkey is None or passkey.user_id != user.id:
        raise NotFound("There is no such passkey.")
    session.delete(passkey)
    letters.write(session, user, "passkey_removed", name=passkey.name)


def _require_owner(answer: str, user: User) -> None:
    """Who the authenticator says it is for is whose credential it is (WebAuthn section 7.2, step 6)."""
    try:
        handle = orjson.loads(answer)["response"].get("userHandle")
        told = base64url_to_bytes(handle) if handle else user.id.bytes
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadPasskey("The passkey's answer cannot be read.") from error
    if told != user.id.bytes:
        raise BadPasskey("The passkey is of another account.")


def _find(session: Session, answer: str, *, to_use: bool = False) -> Passkey:
    """To be used, the row is locked: its counter is compared and moved by one request at a time."""
    try:
        credential_id = base64url_to_bytes(orjson.loads(answer)["id"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadPasskey("The passkey's answer cannot be read.") from error
    found = select(Passkey).where(Passkey.credential_id == credential_id).execution_options(populate_existing=True)
    passkey = session.scalar(found.with_for_update() if to_use else found)
    if passkey is None:
        raise UnknownPasskey("This passkey is not known here.")
    return passkey


def _challenge(ticket: Ticket) -> bytes:
    return base64url_to_bytes(str(ticket.data["challenge"]))


def _require_new(session: Session, credential_id: bytes) -> None:
    if session.scalar(select(Passkey.id).where(Passkey.credential_id == credential_id)):
        raise BadPasskey("This passkey is registered already.")
