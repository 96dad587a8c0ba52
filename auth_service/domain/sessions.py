"""Sign-in sessions: started by a proof of identity, resumed by a cookie, ended for all that came from them."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, distinct, exists, func, literal, or_, select, update
from sqlalchemy.orm import Session

from auth_service.domain import accounts, families, logout_notices
from auth_service.domain.secrecy import digest
from auth_service.models import Client, SignInSession, TokenFamily, User
from common.db import utcnow
from common.errors import NotFound

STORE = "Bookstore"
"""What the store's own programs are called, which are no registered clients."""
PASSWORD_ONLY = ("pwd",)
SEEN_EVERY = timedelta(minutes=1)
MAX_USER_AGENT = 300


def start(
    session: Session,
    user: User,
    *,
    life: timedelta,
    user_agent: str,
    address: str,
    amr: Collection[str] = PASSWORD_ONLY,
) -> SignInSession:
    """A session of a program, which holds tokens and no cookie.

    Raises WrongCredentials for who was just deactivated.
    """
    accounts.require_active(session, user)
    started = SignInSession(
        user_id=user.id,
        user_agent=user_agent[:MAX_USER_AGENT],
        address=address,
        amr=list(amr),
        authenticated_at=utcnow(),
        expires_at=utcnow() + life,
    )
    session.add(started)
    session.flush()
    return started


def start_in_browser(
    session: Session,
    user: User,
    *,
    life: timedelta,
    user_agent: str,
    address: str,
    replaces: SignInSession | None,
    amr: Collection[str] = PASSWORD_ONLY,
) -> tuple[SignInSession, str]:
    """A session and its new cookie. Proving oneself again continues the session; another person's is ended.

    Raises WrongCredentials for who was just deactivated.
    """
    if replaces is not None and replaces.user_id == user.id:
        accounts.require_active(session, user)
        current = replaces
        current.authenticated_at, current.expires_at = utcnow(), utcnow() + life
        current.amr, current.last_seen_at = list(amr), utcnow()
    else:
        if replaces is not None:
            end(session, replaces.id)
        current = start(session, user, life=life, user_agent=user_agent, address=address, amr=amr)
    cookie = secrets.token_urlsafe(32)
    current.cookie_hash = digest(cookie)
    session.flush()
    return current, cookie


def resume(session: Session, cookie: str | None) -> tuple[SignInSession, User] | None:
    """The live session of this cookie and its active user."""
    if not cookie:
        return None
    row = session.execute(
        select(SignInSession, User)
        .join(User, User.id == SignInSession.user_id)
        .where(
            SignInSession.cookie_hash == digest(cookie),
            SignInSession.ended_at.is_(None),
            SignInSession.expires_at > utcnow(),
            User.is_active,
        )
    ).one_or_none()
    return (row[0], row[1]) if row else None


def touch(session: Session, session_id: UUID) -> None:
    """Note that it was in use; seldom enough to cost nothing."""
    now = utcnow()
    session.execute(
        update(SignInSession)
        .where(SignInSession.id == session_id, SignInSession.last_seen_at < now - SEEN_EVERY)
        .values(last_seen_at=now)
    )


def end(session: Session, session_id: UUID) -> None:
    """Sign out: the session and the token families that came from it, but for those that outlive it."""
    logout_notices.prepare(session, session_id)
    now = utcnow()  # families before sessions: a refresh locks them in this order too
    session.execute(
        update(TokenFamily)
        .where(TokenFamily.session_id == session_id, TokenFamily.revoked_at.is_(None), ~families.OUTLIVES_SIGN_OUT)
        .values(revoked_at=now, revoked_because="signed_out")
    )
    session.execute(
        update(SignInSession)
        .where(SignInSession.id == session_id)
        .values(ended_at=func.coalesce(SignInSession.ended_at, now), cookie_hash=None)
    )


def strengthen(session: Session, current: SignInSession, amr: Collection[str]) -> None:
    """What has been shown in this session as well, now; tokens that are refreshed say so too."""
    current.amr = sorted({*current.amr, *amr})
    families = update(TokenFamily).where(TokenFamily.session_id == current.id, TokenFamily.revoked_at.is_(None))
    session.execute(families.values(amr=current.amr))


def end_all(session: Session, user_id: UUID, *, but: UUID | None = None) -> None:
    """Sign the person out everywhere, or everywhere else. What apps hold for while they are away ends as well."""
    theirs = (TokenFamily.user_id == user_id) & TokenFamily.revoked_at.is_(None)
    locked = select(TokenFamily.id).where(theirs).order_by(TokenFamily.id).with_for_update()
    session.execute(locked)  # families before sessions, as above
    live = select(SignInSession.id).where(SignInSession.user_id == user_id, SignInSession.ended_at.is_(None))
    for session_id in session.scalars(live.order_by(SignInSession.id)).all():
        if session_id != but:
            end(session, session_id)
    session.execute(
        update(TokenFamily)
        .where(theirs, TokenFamily.session_id.is_distinct_from(but))
        .values(revoked_at=utcnow(), revoked_because="signed_out_everywhere")
    )


def end_own(session: Session, user_id: UUID, session_id: UUID) -> None:
    """End one of the person's sessions. Raises NotFound for anybody else's."""
    found = session.get(SignInSession, session_id)
    if found is None or found.user_id != user_id or not found.is_live:
        raise NotFound("There is no such session.")
    end(session, session_id)


def living(user_id: UUID) -> Select[SignInSession, str]:
    """The person's sessions that can still be used, each with the names of the clients that hold tokens of it."""
    names = (
        select(func.string_agg(distinct(func.coalesce(Client.client_name, STORE)), literal(", ")))
        .select_from(TokenFamily)
        .outerjoin(Client, Client.client_id == TokenFamily.client_id)
        .where(_usable_family())
        .correlate(SignInSession)
        .scalar_subquery()
    )
    in_use = exists().where(_usable_family()).correlate(SignInSession)
    has_cookie = and_(SignInSession.cookie_hash.is_not(None), SignInSession.expires_at > utcnow())
    return select(SignInSession, func.coalesce(names, STORE).label("client")).where(
        SignInSession.user_id == user_id, SignInSession.ended_at.is_(None), or_(has_cookie, in_use)
    )


def _usable_family() -> ColumnElement[bool]:
    return and_(
        TokenFamily.session_id == SignInSession.id, TokenFamily.revoked_at.is_(None), TokenFamily.expires_at > utcnow()
    )
