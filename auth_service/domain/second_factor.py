"""The second factor: codes of an authenticator app (TOTP, RFC 6238), and recovery codes for who lost it.

The shared secret is encrypted like our signing keys. A code counts once, also within its half minute.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import cast
from uuid import UUID

import pyotp
from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from auth_service.domain import letters, passkeys, passwords, sessions, throttle
from auth_service.domain.secrecy import Vault
from auth_service.models import RecoveryCode, SignInSession, Totp, User
from common.db import utcnow
from common.errors import Conflict, Invalid, Unauthorized

ISSUER = "Bookstore"
STEP_SECONDS = 30
DRIFT_STEPS = 1
RECOVERY_CODES = 10
RECOVERY_LENGTH = 10
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
AMR = ("otp", "mfa")


class OtpRequired(Unauthorized):
    """The password is right; a code is needed as well."""

    code = "otp_required"
    keeps_changes = True


class WrongCode(Unauthorized):
    """Wrong, too old, or used before. Counted, although the request fails."""

    code = "invalid_otp"
    keeps_changes = True


class AlreadyEnrolled(Conflict):
    code = "second_factor_enrolled"


class NotEnrolled(Conflict):
    code = "second_factor_not_enrolled"


@dataclass(frozen=True, slots=True)
class Shown:
    """A code as it was typed, and what it is kept as if it is a recovery code."""

    typed: str
    recovery_hash: bytes | None


def shown(user_id: UUID, typed: str) -> Shown:
    """Takes the time of a hash for a recovery code: hold no transaction. Raises Unavailable when many wait."""
    letters_typed = _letters(typed)
    is_recovery_code = len(letters_typed) == RECOVERY_LENGTH
    return Shown(typed, passwords.slow_digest(letters_typed, salt=_salt(user_id)) if is_recovery_code else None)


def is_enrolled(session: Session, user_id: UUID) -> bool:
    row = session.get(Totp, user_id)
    return row is not None and row.confirmed_at is not None


def has_any(session: Session, user_id: UUID) -> bool:
    """Whether the person could show a second factor: a code, or a passkey, which is two in one."""
    return is_enrolled(session, user_id) or bool(passkeys.of(session, user_id))


def enrol(session: Session, vault: Vault, user: User) -> str:
    """A new secret, which counts once it was confirmed. Raises AlreadyEnrolled."""
    if is_enrolled(session, user.id):
        raise AlreadyEnrolled("An authenticator app is set up already; remove it first.")
    secret = pyotp.random_base32()
    row = {"user_id": user.id, "secret": vault.encrypt(secret.encode()), "created_at": utcnow()}
    statement = insert(Totp).values(row | {"last_step": None, "confirmed_at": None})
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[Totp.user_id], set_=row | {"last_step": None}, where=Totp.confirmed_at.is_(None)
        )
    )
    session.expire_all()
    return secret


def address_of(user: User, secret: str) -> str:
    """The otpauth:// address that apps read from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=user.username, issuer_name=ISSUER)


def pending(session: Session, vault: Vault, user: User) -> str | None:
    """The secret that waits for its confirmation."""
    row = session.get(Totp, user.id)
    return vault.decrypt(bytes(row.secret)).decode() if row and row.confirmed_at is None else None


def confirm(session: Session, vault: Vault, user: User, code: str, *, current: SignInSession | None) -> list[str]:
    """From now on signing in takes a code. Gives the recovery codes, which are shown this once.

    `current` is the session that proved it; it counts as signed in by both factors. The others have shown one only, and
    change no factor before they show both. Raises NotEnrolled, AlreadyEnrolled, Invalid or SignInThrottled.
    """
    row = session.get(Totp, user.id, with_for_update=True, populate_existing=True)
    if row is None:
        raise NotEnrolled("Ask for a secret first.")
    if row.confirmed_at is not None:
        raise AlreadyEnrolled("An authenticator app is set up already.")
    if not _use_code(session, vault, row, code):
        raise Invalid.field("code", "is wrong; is the clock of your device right?")
    row.confirmed_at = utcnow()
    if current is not None:
        sessions.strengthen(session, current, AMR)
    letters.write(session, user, "second_factor_on")
    return renew_recovery_codes(session, user)


def remove(session: Session, user: User) -> None:
    """Raises NotEnrolled."""
    if not is_enrolled(session, user.id):
        raise NotEnrolled("No authenticator app is set up.")
    session.delete(session.get_one(Totp, user.id))
    session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    letters.write(session, user, "second_factor_off")


def require(session: Session, vault: Vault, user: User, code: Shown | None, *, throttled: bool) -> Collection[str]:
    """How the person proved themselves beside the first factor; nothing where none is set up.

    Raises OtpRequired, WrongCode or SignInThrottled.
    """
    if not is_enrolled(session, user.id):
        return ()
    if code is None:
        raise OtpRequired("A code of the authenticator app is needed as well.")
    check(session, vault, user, code, throttled=throttled)
    return AMR


def check(session: Session, vault: Vault, user: User, code: Shown, *, throttled: bool) -> None:
    """Use a code of the app, or a recovery code. Raises WrongCode or SignInThrottled."""
    counted = throttle.guesses("second factor", str(user.id)) if throttled else ()
    throttle.require_patience(session, counted)
    row = session.get(Totp, user.id, populate_existing=True)
    if row is None or not (_use_code(session, vault, row, code.typed) or _use_recovery_code(session, user, code)):
        throttle.count_failure(session, counted)
        raise WrongCode("The code is wrong, or was used before.")
    throttle.forgive(session, counted)


def renew_recovery_codes(session: Session, user: User) -> list[str]:
    """Ten new ones in place of those before."""
    session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    made = ["".join(secrets.choice(_ALPHABET) for _ in range(RECOVERY_LENGTH)) for _ in range(RECOVERY_CODES)]
    hashes = passwords.slow_digests(made, salt=_salt(user.id))
    session.add_all(RecoveryCode(user_id=user.id, code_hash=code_hash) for code_hash in hashes)
    session.flush()
    return [f"{code[:5]}-{code[5:]}" for code in made]


def recovery_codes_left(session: Session, user: User) -> int:
    statement = select(func.count()).select_from(RecoveryCode).where(RecoveryCode.user_id == user.id)
    return session.scalar(statement) or 0


def _use_code(session: Session, vault: Vault, row: Totp, code: str) -> bool:
    """Whether it is the code of a step that is later than the last one used, which it then is."""
    typed = "".join(code.split())
    generator = pyotp.TOTP(vault.decrypt(bytes(row.secret)).decode())
    now = int(time.time()) // STEP_SECONDS
    for step in range(now - DRIFT_STEPS, now + DRIFT_STEPS + 1):
        expected = generator.generate_otp(step)
        if hmac.compare_digest(expected.encode(), typed.encode("utf-8", "replace")):
            return _use_step(session, row, step)
    return False


def _use_step(session: Session, row: Totp, step: int) -> bool:
    """One UPDATE: of two requests with the same code one succeeds."""
    used = session.execute(
        update(Totp)
        .where(Totp.user_id == row.user_id, or_(Totp.last_step.is_(None), Totp.last_step < step))
        .values(last_step=step)
        .execution_options(synchronize_session=False)
    )
    return cast(CursorResult[object], used).rowcount == 1


def _use_recovery_code(session: Session, user: User, code: Shown) -> bool:
    if code.recovery_hash is None:
        return False
    used = session.execute(
        delete(RecoveryCode)
        .where(RecoveryCode.user_id == user.id, RecoveryCode.code_hash == code.recovery_hash)
        .execution_options(synchronize_session=False)
    )
    if cast(CursorResult[object], used).rowcount != 1:
        return False
    letters.write(session, user, "recovery_code_used", left=recovery_codes_left(session, user))
    return True


def _letters(code: str) -> str:
    return "".join(character for character in code.lower() if character.isalnum())


def _salt(user_id: UUID) -> str:
    """Fifty bits want a slow hash; its salt is the person's identifier, most of which is random (ASVS 6.5.2)."""
    return f"recovery code {user_id}"
