"""Signing in with a name and a password, by the page and by the JSON API alike.

The hash is waited for between two transactions. So the account is read once more before anybody is let in: meanwhile
it may have been deactivated, or have got another role or password.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from auth_service.domain import accounts, passwords, throttle
from auth_service.domain.throttle import Counter
from auth_service.models import User
from common.errors import Unavailable


class PasswordChanged(Unavailable):
    """Between the two looks at the account: whether the password is the new one, the next attempt will tell."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Whose password is shown, if there is such an account, and what counts the failures."""

    user_id: UUID | None
    password_hash: str | None
    counters: Sequence[Counter]


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether the password was right, and its new hash when the one that is kept is out of date."""

    is_right: bool
    renewed: str | None = None


def begin(
    session: Session, *, identifier: str, address: str, throttled: bool, known: Callable[[UUID], str | None]
) -> Attempt:
    """`known` tells which device of the account's owner it is, if it is one. Raises SignInThrottled."""
    user = accounts.find(session, identifier)
    account, device = (str(user.id), known(user.id)) if user else (accounts.name_key(identifier), None)
    counters = throttle.counters(account, address, device) if throttled else ()
    throttle.require_patience(session, counters)
    return Attempt(user.id, user.password_hash, counters) if user else Attempt(None, None, counters)


def prove(attempt: Attempt, password: str) -> Proof:
    """Always as slow. Raises Unavailable when too many others wait."""
    if not passwords.verify(attempt.password_hash, password):
        return Proof(is_right=False)
    outdated = passwords.needs_rehash(attempt.password_hash or "")
    return Proof(is_right=True, renewed=passwords.hash_password(password) if outdated else None)


def finish(session: Session, attempt: Attempt, proof: Proof) -> User:
    """The active account. Raises WrongCredentials, whose count is kept, SignInThrottled or PasswordChanged.

    Patience is asked for again: of guesses that waited together no more than so many are answered.
    """
    throttle.require_patience(session, attempt.counters)
    user = None
    if proof.is_right and attempt.user_id is not None:
        user = accounts.active(session, attempt.user_id, to_change=proof.renewed is not None)
    if user is None:
        throttle.count_failure(session, attempt.counters)
        raise accounts.WrongCredentials("Name or password is wrong.")
    if user.password_hash != attempt.password_hash:
        raise PasswordChanged("The password was changed at this moment. Try again.")
    user.password_hash = proof.renewed or user.password_hash
    throttle.forgive(session, attempt.counters)
    return user
