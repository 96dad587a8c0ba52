"""What the staff do with accounts. The store is never left without an active administrator."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, or_, select, update
from sqlalchemy.orm import Session

from auth_service.domain import accounts, audit, letters, logout_notices
from auth_service.models import SignInSession, TokenFamily, User
from common.db import utcnow
from common.errors import Conflict, NotFound
from common.events.auth import UserDeactivated, UserErased, UserReactivated
from common.outbox import record


class LastAdmin(Conflict):
    code = "last_admin"


def found(*, q: str | None, role: str | None, is_active: bool | None) -> Select[Any]:
    """Accounts with `q` somewhere in their name or mail address, in this role, active or not."""
    statement = select(User)
    if q:
        text = accounts.name_key(q)
        statement = statement.where(
            or_(User.username_key.contains(text, autoescape=True), User.email_key.contains(text, autoescape=True))
        )
    if role:
        statement = statement.where(User.role == role)
    if is_active is not None:
        statement = statement.where(User.is_active == is_active)
    return statement


def find(session: Session, user_id: object) -> User:
    """Raises NotFound."""
    user = session.get(User, user_id)
    if user is None:
        raise NotFound("There is no such user.")
    return user


def change(session: Session, user: User, *, username: str, email: str, role: str, is_active: bool) -> None:
    """Raises Invalid, UsernameTaken, EmailTaken, or LastAdmin."""
    if user.role == "admin" and user.is_active and (role != "admin" or not is_active):
        require_another_admin(session, user)
    user.role = role
    former = user.email
    accounts.rename(session, user, username=username, email=email)
    if user.email != former:
        for address in (former, user.email):
            letters.write(session, user, "address_changed_by_staff", to=address, email=user.email)
    if not is_active:
        deactivate(session, user)
    elif not user.is_active:
        reactivate(session, user)


def deactivate(session: Session, user: User) -> None:
    """No more signing in, and an end to all sessions; the account can come back. Raises LastAdmin."""
    require_another_admin(session, user)
    if not user.is_active:
        return
    end_sessions(session, user, "deactivated")
    user.is_active = False
    session.flush()
    record(session, UserDeactivated(user_id=user.id))


def reactivate(session: Session, user: User) -> None:
    if user.is_active:
        return
    user.is_active = True
    session.flush()
    record(session, UserReactivated(user_id=user.id))


def erase(session: Session, user: User) -> None:
    """Forget the person: the account and all that hangs on it. Raises LastAdmin."""
    require_another_admin(session, user)
    _note_logouts(session, user)
    record(session, UserErased(user_id=user.id))
    audit.forget(session, user.id)
    letters.erase(session, user)
    session.delete(user)
    session.flush()


def end_sessions(session: Session, user: User, reason: str) -> None:
    _note_logouts(session, user)
    now = utcnow()
    session.execute(
        update(TokenFamily)
        .where(TokenFamily.user_id == user.id, TokenFamily.revoked_at.is_(None))
        .values(revoked_at=now, revoked_because=reason)
    )
    session.execute(
        update(SignInSession)
        .where(SignInSession.user_id == user.id, SignInSession.ended_at.is_(None))
        .values(ended_at=now, cookie_hash=None)
    )


def _note_logouts(session: Session, user: User) -> None:
    """The apps that asked for it are told of each sign-in that ends."""
    opened = select(SignInSession.id).where(SignInSession.user_id == user.id, SignInSession.ended_at.is_(None))
    for session_id in session.scalars(opened).all():
        logout_notices.prepare(session, session_id)


def require_another_admin(session: Session, user: User) -> None:
    """Lock the account, its families and all admins: of those who leave at the same time, each sees the others.

    Families come first, as when refreshing; all in the order of their ids, so that nobody waits in a circle. The
    account is read anew under its lock. Raises LastAdmin, and NotFound when it was erased meanwhile.
    """
    families = select(TokenFamily.id).where(TokenFamily.user_id == user.id)
    session.execute(families.order_by(TokenFamily.id).with_for_update())
    of_interest = select(User).where(or_(User.id == user.id, (User.role == "admin") & User.is_active))
    locked = session.scalars(
        of_interest.order_by(User.id).with_for_update().execution_options(populate_existing=True)
    ).all()
    if user not in locked:
        raise NotFound("There is no such user.")
    if user.role != "admin" or not user.is_active:
        return
    if not [each for each in locked if each is not user and each.role == "admin" and each.is_active]:
        raise LastAdmin("The store would be left without an administrator.")
