"""The mails of an account: the address is verified by one, the others tell of what was changed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import delete
from sqlalchemy.orm import Session

from auth_service.domain import throttle, tickets
from auth_service.models import User
from common import mail
from common.errors import Invalid
from common.ids import new_id

VERIFY_LIFE = timedelta(days=2)


class LinkExpired(Invalid):
    """The token of a link that was used, has expired, or never was one."""

    code = "link_expired"

    def __init__(self) -> None:
        wrong = [{"field": "token", "message": "has expired or was used already"}]
        super().__init__("This link has expired or was used already. Ask for a new one.", errors=wrong)


def write(session: Session, user: User, template: str, *, to: str | None = None, **context: Any) -> None:
    """Have a mail sent to the person, or to another address of theirs, once this transaction has committed."""
    mail.post(
        session,
        key=f"{template}{_of(user)}{new_id()}",
        to=to or user.email,
        template=mail.Template("auth_service", template),
        context={"username": user.username, **context},
    )


def erase(session: Session, user: User) -> None:
    """Forget what the person was written, to an address that they had before too."""
    session.execute(delete(mail.table).where(mail.table.c.key.contains(_of(user))))


def _of(user: User) -> str:
    return f":{user.id}:"


def ask_to_verify(session: Session, user: User, url: str) -> None:
    """Mail the link that proves whose the address is; not more often than a person needs it."""
    counted = throttle.mails("verification mail", str(user.id), user.email_key)
    if user.email_verified or throttle.is_used_up(session, counted):
        return
    throttle.count_failure(session, counted)
    token = tickets.issue(session, tickets.VERIFY_EMAIL, user_id=user.id, life=VERIFY_LIFE, email_key=user.email_key)
    write(session, user, "verify_email", link=f"{url}/account/verify-email?token={token}")


def verify_email(session: Session, token: str) -> User:
    """Raises LinkExpired; also when the account has another address by now."""
    ticket = tickets.take(session, tickets.VERIFY_EMAIL, token)
    user = session.get(User, ticket.user_id) if ticket else None
    if ticket is None or user is None or user.email_key != ticket.data["email_key"]:
        raise LinkExpired
    user.email_verified = True
    tickets.void(session, tickets.VERIFY_EMAIL, user.id)
    return user
