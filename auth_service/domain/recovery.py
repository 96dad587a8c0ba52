"""Passwords that are changed by who knows them, or set anew by who gets the account's mail."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from auth_service.domain import letters, passwords, sessions, throttle, tickets
from auth_service.domain.accounts import name_key
from auth_service.models import Ticket, User
from common.errors import Forbidden, Invalid

RESET_LIFE = timedelta(hours=1)
ASKED_LIFE = timedelta(hours=1)
BATCH = 50


class WrongPassword(Forbidden):
    """The current password is not this one. Counted, although the request fails."""

    code = "wrong_password"
    keeps_changes = True


def ask(session: Session, email: str) -> None:
    """Note that somebody wants a new password. Whose address it is, is looked up later, by the worker:

    so it takes the same time whether there is an account or not.
    """
    tickets.issue(session, tickets.RESET_ASKED, life=ASKED_LIFE, email_key=name_key(email))


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
    counted = throttle.guesses("reset mail", email_key)
    if user is None or throttle.is_used_up(session, counted):
        return
    throttle.count_failure(session, counted)
    token = tickets.issue(session, tickets.RESET_PASSWORD, user_id=user.id, life=RESET_LIFE, email_key=user.email_key)
    letters.write(session, user, "reset_password", link=f"{url}/account/reset-password?token={token}")


def reset(session: Session, token: str, password: str) -> User:
    """Set the password of the account that the link was mailed to, and sign it out everywhere.

    Raises LinkExpired, or Invalid for a password that is none; rolled back then, the link stays good.
    """
    ticket = tickets.take(session, tickets.RESET_PASSWORD, token)
    user = session.get(User, ticket.user_id) if ticket else None
    if ticket is None or user is None or not user.is_active or user.email_key != ticket.data["email_key"]:
        raise letters.LinkExpired
    _require_strong(user, password)
    user.email_verified = True  # the link went to this address and nowhere else
    _set(session, user, password, keep=None)
    return user


def change(session: Session, user: User, *, current: str, new: str, keep: UUID, throttled: bool) -> None:
    """Change the password by proof of the current one; every session but `keep` ends.

    Raises WrongPassword, SignInThrottled or Invalid.
    """
    counted = throttle.guesses("password", str(user.id)) if throttled else ()
    throttle.require_patience(session, counted)
    if not passwords.verify(user.password_hash, current):
        throttle.count_failure(session, counted)
        raise WrongPassword("The current password is wrong.")
    _require_strong(user, new)
    throttle.forgive(session, counted)
    _set(session, user, new, keep=keep)


def _set(session: Session, user: User, password: str, *, keep: UUID | None) -> None:
    user.password_hash = passwords.hash_password(password)
    tickets.void(session, tickets.RESET_PASSWORD, user.id)
    tickets.void(session, tickets.SECOND_FACTOR, user.id)
    sessions.end_all(session, user.id, but=keep)
    letters.write(session, user, "password_changed")


def _require_strong(user: User, password: str) -> None:
    if problem := passwords.weakness(password, user.username, user.email, user.email.partition("@")[0]):
        raise Invalid.field("password", problem)
