"""Accounts at other providers that sign somebody in here.

They are known by (provider, subject). A mail address proves nothing about an account of ours that has the same one:
its owner signs in first, and then connects the two.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from auth_service.domain import accounts, addresses, letters, passkeys
from auth_service.models import Identity, User
from common.db import utcnow
from common.errors import Conflict, Forbidden, NotFound

NAMES = {"google": "Google", "github": "GitHub"}


class AddressTaken(Conflict):
    """An account has the address already; who signs in to it can connect the two."""

    code = "link_required"


class AddressUnverified(Forbidden):
    """The provider does not vouch for the address."""

    code = "unverified_address"


class IdentityTaken(Conflict):
    code = "identity_taken"


class LastWayIn(Conflict):
    code = "last_way_in"


@dataclass(frozen=True, slots=True)
class Foreign:
    """Who somebody is at a provider."""

    provider: str
    subject: str
    email: str
    email_verified: bool
    name: str


def of(session: Session, user_id: UUID) -> list[Identity]:
    statement = select(Identity).where(Identity.user_id == user_id)
    return list(session.scalars(statement.order_by(Identity.provider, Identity.created_at)))


def sign_in(session: Session, who: Foreign) -> User:
    """The account of this identity; a new one where neither the identity nor its address is known.

    Raises WrongCredentials, AddressTaken or AddressUnverified.
    """
    known = session.get(Identity, (who.provider, who.subject))
    if known is None:
        return _register(session, who)
    user = accounts.active(session, known.user_id)
    if user is None:
        raise accounts.WrongCredentials("This account cannot be used.")
    return user


def link(session: Session, user: User, who: Foreign) -> None:
    """Connect an identity with the account of who is signed in. Raises IdentityTaken."""
    row = {"provider": who.provider, "subject": who.subject, "user_id": user.id, "label": who.email or who.name}
    row["created_at"] = utcnow()
    session.execute(insert(Identity).values(row).on_conflict_do_nothing())
    owner = session.get_one(Identity, (who.provider, who.subject), populate_existing=True)
    if owner.user_id != user.id:
        raise IdentityTaken("This account is connected with somebody else already.")
    letters.write(session, user, "identity_linked", provider=NAMES[who.provider], label=owner.label)


def unlink(session: Session, user: User, provider: str, subject: str) -> None:
    """Raises NotFound, or LastWayIn for who could not sign in any more."""
    found = session.get(Identity, (provider, subject))
    if found is None or found.user_id != user.id:
        raise NotFound("This account is not connected.")
    others = len(of(session, user.id)) > 1 or passkeys.of(session, user.id)
    if user.password_hash is None and not others:
        raise LastWayIn("Choose a password first: this is your only way to sign in.")
    session.delete(found)
    letters.write(session, user, "identity_unlinked", provider=NAMES[provider], label=found.label)


def _register(session: Session, who: Foreign) -> User:
    if not who.email_verified or not _is_good(who.email):
        raise AddressUnverified(
            f"{NAMES[who.provider]} did not give us a verified mail address. Create an account here."
        )
    if accounts.find(session, who.email) is not None:
        raise AddressTaken(
            f"There is an account with this mail address. Sign in to it, then connect {NAMES[who.provider]} "
            "under Sign-in methods."
        )
    user = accounts.register_without_password(session, username=_free_username(session, who), email=who.email)
    link(session, user, who)
    return user


def _is_good(email: str) -> bool:
    """An address of which what we keep is what the provider vouches for, and not another form of it."""
    return addresses.problem(email) is None and addresses.is_vouched_for(addresses.normal(email), email)


def _free_username(session: Session, who: Foreign) -> str:
    wanted = re.sub(r"[^\w.'+-]", "", who.name or who.email.partition("@")[0])[:50]
    if len(wanted) >= 2 and accounts.username_problem(wanted) is None and accounts.find(session, wanted) is None:
        return wanted
    return f"{wanted or 'reader'}-{secrets.token_hex(4)}"
