"""All that waits for the hash of a password: look, wait with nothing held, and look again before anything is written.

Hashes take their time when many want one. A request that waits for its own keeps a thread, and neither a connection
to the database nor a lock.
"""

from __future__ import annotations

from uuid import UUID

from auth_service.api import devices
from auth_service.api.authority import authority, client_address
from auth_service.domain import accounts, letters, passwords, recovery, second_factor, sign_in, throttle
from auth_service.domain.second_factor import Shown
from auth_service.models import User
from common.db import end_request_session, session, transaction
from common.errors import Conflict


def register(*, username: str, email: str, password: str) -> User:
    """Raises Invalid, UsernameTaken, EmailTaken, or TooManyRequests."""
    accounts.require_acceptable(username=username, email=email, password=password)
    _count(throttle.REGISTRATION)
    _require_free(username, email)
    end_request_session(commit=True)
    password_hash = passwords.hash_password(password)
    user = accounts.create(session, username=username, email=email, password_hash=password_hash)
    letters.ask_to_verify(session, user, authority.config.public_url)
    return user


def with_password(identifier: str, password: str) -> User:
    """Who has this name and this password. Raises as sign_in.finish."""
    return with_password_and_code(identifier, password, None)[0]


def with_password_and_code(identifier: str, password: str, code: str | None) -> tuple[User, Shown | None]:
    """As with_password, and the code ready to be checked."""
    throttled = authority.config.rate_limits_enabled
    attempt = sign_in.begin(
        session, identifier=identifier, address=client_address(), throttled=throttled, known=devices.known
    )
    end_request_session(commit=True)
    proof = sign_in.prove(attempt, password)
    ready = second_factor.shown(attempt.user_id, code) if code and attempt.user_id and proof.is_right else None
    return sign_in.finish(session, attempt, proof), ready


def shown(user: User, code: str) -> Shown:
    """A code of the second factor, ready to be checked; what was read before has to be read again."""
    end_request_session(commit=True)
    return second_factor.shown(user.id, code)


def change_password(user: User, *, current: str, new: str, keep: UUID) -> None:
    """Raises WrongPassword, SignInThrottled or Invalid."""
    change = recovery.begin_change(session, user, new, throttled=authority.config.rate_limits_enabled)
    end_request_session(commit=True)
    password_hash = recovery.prove(change, current, new)
    recovery.finish_change(session, change, password_hash, keep=keep)


def reset_password(token: str, new: str) -> None:
    """Raises LinkExpired or Invalid; the link stays good then."""
    recovery.begin_reset(session, token, new)
    end_request_session(commit=True)
    recovery.finish_reset(session, token, passwords.hash_password(new))


def ask_for_reset(email: str) -> None:
    """Raises TooManyRequests."""
    _count(throttle.RESET)
    recovery.ask(session, email)


def _require_free(username: str, email: str) -> None:
    """Raises UsernameTaken or EmailTaken; after some of them TooManyRequests, so that nobody lists who is here."""
    try:
        accounts.require_free(session, username, email)
    except Conflict:
        _count(throttle.TAKEN, most=throttle.MOST_TAKEN)
        raise


def _count(kind: str, *, most: int | None = None) -> None:
    """One more from this address, whatever becomes of it. Raises TooManyRequests."""
    if authority.config.rate_limits_enabled:
        with transaction() as opened:
            throttle.count_request(opened, kind, client_address(), most=most)
