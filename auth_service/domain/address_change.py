"""A new mail address counts once it is confirmed there; whoever reads the old one can undo it for a week.

Otherwise a token stolen shortly after its sign-in would take the account: the address first, then the password by it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from auth_service.domain import accounts, addresses, administration, letters, throttle, tickets
from auth_service.models import Identity, Passkey, RecoveryCode, Ticket, Totp, User
from common.db import utcnow
from common.errors import Invalid, TooManyRequests

CONFIRM_LIFE = timedelta(days=2)
UNDO_LIFE = timedelta(days=7)


def ask(session: Session, user: User, email: str, url: str) -> None:
    """Mail a link to the new address, and tell the old one. Raises Invalid, EmailTaken or TooManyRequests."""
    if wrong := addresses.problem(email):
        raise Invalid.field("email", wrong)
    accounts.require_free(session, user.username, email, but=user)
    counted = throttle.mails("new address", str(user.id), addresses.key(email))
    if throttle.is_used_up(session, counted):
        raise TooManyRequests("Too many changes of the address. Try again later.", retry_after=300)
    throttle.count_failure(session, counted)
    tickets.void(session, tickets.NEW_ADDRESS, user.id)
    new = addresses.normal(email)
    confirm = tickets.issue(session, tickets.NEW_ADDRESS, life=CONFIRM_LIFE, user_id=user.id, email=new)
    letters.write(session, user, "confirm_address", to=new, link=f"{url}/account/verify-email?token={confirm}")
    undo = tickets.issue(
        session,
        tickets.FORMER_ADDRESS,
        life=UNDO_LIFE,
        user_id=user.id,
        email=user.email,
        email_key=user.email_key,
        email_verified=user.email_verified,
    )
    letters.write(session, user, "address_changing", email=new, link=f"{url}/account/undo-address?token={undo}")


def pending(session: Session, user: User) -> str | None:
    """The address that waits for being confirmed."""
    asked = select(Ticket.data).where(Ticket.user_id == user.id, Ticket.purpose == tickets.NEW_ADDRESS)
    data = session.scalar(asked.where(Ticket.expires_at > utcnow()))
    return data["email"] if data else None


def confirm(session: Session, token: str) -> User | None:
    """The account, whose address is the new one from now on; None for a token of something else. Raises EmailTaken."""
    ticket = tickets.take(session, tickets.NEW_ADDRESS, token)
    user = session.get(User, ticket.user_id, with_for_update=True) if ticket else None
    if ticket is None or user is None:
        return None
    accounts.rename(session, user, username=user.username, email=ticket.data["email"])
    user.email_verified = True
    tickets.void(session, tickets.RESET_PASSWORD, user.id)
    return user


def undo(session: Session, token: str) -> User:
    """The account with its former address, signed out everywhere, without what was bound since. Raises LinkExpired."""
    ticket = tickets.take(session, tickets.FORMER_ADDRESS, token)
    user = session.get(User, ticket.user_id, with_for_update=True) if ticket else None
    if ticket is None or user is None:
        raise letters.LinkExpired
    for purpose in (tickets.NEW_ADDRESS, tickets.RESET_PASSWORD, tickets.SECOND_FACTOR):
        tickets.void(session, purpose, user.id)
    if user.email_key != ticket.data["email_key"]:
        accounts.rename(session, user, username=user.username, email=ticket.data["email"])
    user.email_verified = ticket.data["email_verified"]
    _unbind(session, user, since=ticket.expires_at - UNDO_LIFE)
    administration.end_sessions(session, user, "address_undone")
    return user


def _unbind(session: Session, user: User, *, since: datetime) -> None:
    """What was made a way in since somebody else began to change the address is theirs."""
    for model, bound_at in ((Passkey, Passkey.created_at), (Identity, Identity.created_at), (Totp, Totp.created_at)):
        session.execute(delete(model).where(model.user_id == user.id, bound_at >= since))
    if session.get(Totp, user.id, populate_existing=True) is None:
        session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
