"""Passwords that are changed by who knows them, or set anew by who gets the account's mail.

As when signing in, hashes are waited for between two transactions, and the second one looks at the account again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from auth_service.domain import accounts, addresses, letters, passwords, sessions, throttle, tickets
from auth_service.models import Ticket, TokenFamily, User
from common.errors import Forbidden, Invalid

RESET_LIFE = timedelta(hours=1)
ASKED_LIFE = timedelta(hours=1)
BATCH = 50


class WrongPassword(Forbidden):
    """The current password is not this one. Counted, although the request fails."""

    code = "wrong_password"
    keeps_changes = True


@dataclass(frozen=True, slots=True)
class Change:
    """Whose password is to be changed, and what counts wrong guesses of the current one."""

    user_id: UUID
    password_hash: str | None
    counters: Sequence[throttle.Counter]


def ask(session: Session, email: str) -> None:
    """Note that somebody wants a new password. Whose address it is, is looked up later, by the worker:

    so it takes the same time whether there is an account or not.
    """
    tickets.issue(session, tickets.RESET_ASKED, life=ASKED_LIFE, email_key=addresses.key(email))


def send_links(session: Session, url: str) -> int:
    """Mail the links that were asked for; how many had been asked for."""
    asked = select(Ticket.secret_hash).where(Ticket.purpose == tickets.RESET_ASKED).limit(BATCH)
    taken = session.scalars(
        delete(Ticket)
        .where(Ticket.secret_hash.in_(asked.with_for_update(skip_locked=True)))
        .returning(Ticket.data)
        .execution_options(synchronize_session=False)
    ).all()
    for data in taken:
        _send_link(session, data["email_key"], url)
    return len(taken)


def _send_link(session: Session, email_key: str, url: str) -> None:
    user = session.scalar(select(User).where(User.email_key == email_key, User.is_active))
    if user is None:
        return
    counted = throttle.mails("reset mail", str(user.id), email_key)
    if throttle.is_used_up(session, counted):
        return
    throttle.count_failure(session, counted)
    token = tickets.issue(session, tickets.RESET_PASSWORD, user_id=user.id, life=RESET_LIFE, email_key=user.email_key)
    letters.write(session, user, "reset_password", link=f"{url}/account/reset-password?token={token}")


def begin_reset(session: Session, token: str, password: str) -> None:
    """That the link may set this password; it stays good. Raises LinkExpired, or Invalid for a weak password."""
    _require_strong(_mailed_to(session, tickets.look(session, tickets.RESET_PASSWORD, token)), password)


def finish_reset(session: Session, token: str, password_hash: str) -> None:
    """Set the password of the account that the link was mailed to, and sign it out everywhere. Raises LinkExpired."""
    user = _mailed_to(session, tickets.look(session, tickets.RESET_PASSWORD, token))
    if tickets.take(session, tickets.RESET_PASSWORD, token) is None:
        raise letters.LinkExpired
    user.email_verified = True  # the link went to this address and nowhere else
    _set(session, user, password_hash, keep=None)


def begin_change(session: Session, user: User, new: str, *, throttled: bool) -> Change:
    """Raises SignInThrottled, or Invalid for a weak password."""
    counters = throttle.guesses("password", str(user.id)) if throttled else ()
    throttle.require_patience(session, counters)
    _require_strong(user, new)
    return Change(user.id, user.password_hash, counters)


def prove(change: Change, current: str, new: str) -> str | None:
    """The hash of the new password, if the current one is right."""
    return passwords.hash_password(new) if passwords.verify(change.password_hash, current) else None


def finish_change(session: Session, change: Change, password_hash: str | None, *, keep: UUID) -> None:
    """Every session but `keep` ends. Raises WrongPassword, whose count is kept, or SignInThrottled."""
    throttle.require_patience(session, change.counters)
    user = _to_change(session, change.user_id) if password_hash else None
    if user is None or password_hash is None or user.password_hash != change.password_hash:
        throttle.count_failure(session, change.counters)
        raise WrongPassword("The current password is wrong.")
    throttle.forgive(session, change.counters)
    _set(session, user, password_hash, keep=keep)


def _mailed_to(session: Session, ticket: Ticket | None) -> User:
    """Raises LinkExpired, also when the account has another address by now."""
    user = _to_change(session, ticket.user_id) if ticket and ticket.user_id else None
    if ticket is None or user is None or user.email_key != ticket.data["email_key"]:
        raise letters.LinkExpired
    return user


def _to_change(session: Session, user_id: UUID) -> User | None:
    """The active account, whose sign-ins under way wait. Families come first, as when refreshing."""
    families = select(TokenFamily.id).where(TokenFamily.user_id == user_id, TokenFamily.revoked_at.is_(None))
    session.execute(families.order_by(TokenFamily.id).with_for_update())
    return accounts.active(session, user_id, to_change=True)


def _set(session: Session, user: User, password_hash: str, *, keep: UUID | None) -> None:
    user.password_hash = password_hash
    tickets.void(session, tickets.RESET_PASSWORD, user.id)
    tickets.void(session, tickets.SECOND_FACTOR, user.id)
    sessions.end_all(session, user.id, but=keep)
    letters.write(session, user, "password_changed")


def _require_strong(user: User, password: str) -> None:
    if problem := passwords.weakness(password, user.username, user.email, user.email.partition("@")[0]):
        raise Invalid.field("password", problem)
