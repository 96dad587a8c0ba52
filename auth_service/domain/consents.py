"""What people have allowed clients, remembered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, Select, and_, delete, func, or_, select, text, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from auth_service.domain import families
from auth_service.models import AuthorizationCode, Client, Consent, DeviceCode, Revocation, SignInSession, TokenFamily
from common.db import utcnow

_KEPT = """array_to_string(ARRAY(
    SELECT s FROM unnest(string_to_array(scope, ' ')) WITH ORDINALITY AS each(s, place)
    WHERE s = ANY(:held) ORDER BY place), ' ')"""
_NARROWED = f"UPDATE {{}} SET scope = {_KEPT} WHERE client_id = :client_id"  # noqa: S608 - ours, all of it
_AS_ALLOWED = """
    UPDATE token_families SET claims = '{}', scope = array_to_string(ARRAY(
        SELECT s FROM unnest(string_to_array(token_families.scope, ' ')) WITH ORDINALITY AS each(s, place)
        WHERE s IN (SELECT unnest(string_to_array(consents.scope, ' ')) FROM consents
            WHERE consents.user_id = token_families.user_id AND consents.client_id = token_families.client_id)
        ORDER BY place), ' ')
    WHERE client_id = :client_id AND revoked_at IS NULL"""


def is_needed(session: Session, user_id: UUID, client: Client, scope: str) -> bool:
    """Whether the person has yet to allow the client some of this. Trusted clients are the store itself.

    What was given cannot be withdrawn before the code that rests on it is committed, and so found by `withdraw`.
    """
    if client.trusted:
        return False
    found = select(Consent).where(Consent.user_id == user_id, Consent.client_id == client.client_id)
    given = session.scalar(found.with_for_update().execution_options(populate_existing=True))
    return given is None or not set(scope.split()) <= set(given.scope.split())


def give(session: Session, user_id: UUID, client: Client, scope: str) -> None:
    """Allow this, beside what was allowed before."""
    given = session.get(Consent, (user_id, client.client_id))
    total = " ".join(dict.fromkeys([*(given.scope.split() if given else ()), *scope.split()]))
    statement = insert(Consent).values(user_id=user_id, client_id=client.client_id, scope=total, granted_at=utcnow())
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[Consent.user_id, Consent.client_id],
            set_={"scope": statement.excluded.scope, "granted_at": statement.excluded.granted_at},
        )
    )


def connected(session: Session, user_id: UUID, *, most: int) -> Sequence[Row[Client, str, datetime]]:
    """The apps that may do something for the person, each with its scope and since when, the latest first.

    Those that were allowed it; those that hold it without having asked, but for the store's own while they are signed
    in; and the store's own where they outlive the sign-out.
    """
    held = select(
        TokenFamily.client_id,
        func.string_agg(TokenFamily.scope, " ").label("scope"),
        func.min(TokenFamily.created_at).label("since"),
    )
    is_shown = or_(Client.trusted.is_(False), families.OUTLIVES_SIGN_OUT)
    live = and_(TokenFamily.user_id == user_id, TokenFamily.revoked_at.is_(None), TokenFamily.expires_at > utcnow())
    family = (
        held.join(Client, Client.client_id == TokenFamily.client_id)
        .where(live, is_shown)
        .group_by(TokenFamily.client_id)
        .subquery()
    )
    since = func.coalesce(Consent.granted_at, family.c.since)
    return session.execute(
        select(Client, func.concat_ws(" ", Consent.scope, family.c.scope), since)
        .outerjoin(Consent, and_(Consent.client_id == Client.client_id, Consent.user_id == user_id))
        .outerjoin(family, family.c.client_id == Client.client_id)
        .where(since.is_not(None))
        .order_by(since.desc())
        .limit(most)
    ).all()


def withdraw(session: Session, user_id: UUID, client_id: str) -> None:
    """The client may nothing any more: its tokens end, and what it has not redeemed yet is worth nothing.

    In this order, each step waits for those who are in the middle of it, and the next one finds what they made.
    """
    session.execute(delete(Consent).where(Consent.user_id == user_id, Consent.client_id == client_id))
    own = select(SignInSession.id).where(SignInSession.user_id == user_id)
    _close_what_is_open(session, client_id, own)
    session.execute(
        update(TokenFamily)
        .where(TokenFamily.user_id == user_id, TokenFamily.client_id == client_id, TokenFamily.revoked_at.is_(None))
        .values(revoked_at=utcnow(), revoked_because="consent_withdrawn")
    )


def curtail(session: Session, client: Client, *, lost_trust: bool) -> None:
    """Cut what people have allowed the client, and what it holds, down to what it may have from now on.

    Of a client that is trusted no more, that is what each person has agreed to. Its access tokens are refused at once,
    and those that were got for them; it refreshes for new ones. In this order for the reason that `withdraw` has.
    """
    bound = {"held": client.scopes, "client_id": client.client_id}
    session.execute(text(_NARROWED.format("consents")), bound)
    session.execute(delete(Consent).where(Consent.client_id == client.client_id, Consent.scope == ""))
    _close_what_is_open(session, client.client_id)
    session.execute(text(f"{_NARROWED.format('token_families')} AND revoked_at IS NULL"), bound)
    if lost_trust:
        session.execute(text(_AS_ALLOWED), {"client_id": client.client_id})
    session.execute(
        update(TokenFamily)
        .where(TokenFamily.client_id == client.client_id, TokenFamily.scope == "", TokenFamily.revoked_at.is_(None))
        .values(revoked_at=utcnow(), revoked_because="client_curtailed")
        .execution_options(synchronize_session=False)
    )
    session.add(Revocation(kind="client", revoked=client.client_id))
    session.flush()
    session.expire_all()  # what was read before is not what it is now


def _close_what_is_open(session: Session, client_id: str, of: Select[UUID] | None = None) -> None:
    """Codes that were not redeemed yet are worth nothing."""
    for model, is_open, used in (
        (AuthorizationCode, AuthorizationCode.used_at.is_(None), {"used_at": utcnow()}),
        (DeviceCode, DeviceCode.state == "allowed", {"state": "used"}),
    ):
        theirs = (model.client_id == client_id) & (true() if of is None else model.session_id.in_(of))
        session.execute(update(model).where(theirs, is_open).values(used).execution_options(synchronize_session=False))
