"""Signing in with a name and a password, by the page and by the JSON API alike."""

from __future__ import annotations

from sqlalchemy.orm import Session

from auth_service.domain import accounts, throttle
from auth_service.domain.throttle import SignInThrottled
from auth_service.models import User

__all__ = ["SignInThrottled", "with_password"]


def with_password(session: Session, *, identifier: str, password: str, address: str, throttled: bool) -> User:
    """The account. Raises WrongCredentials, whose count is kept, or SignInThrottled."""
    counters = throttle.counters(identifier, address) if throttled else ()
    throttle.require_patience(session, counters)
    try:
        user = accounts.authenticate(session, identifier, password)
    except accounts.WrongCredentials:
        throttle.count_failure(session, counters)
        raise
    throttle.forgive(session, counters)
    return user
