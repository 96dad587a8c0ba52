"""Accounts: who may be called what, registering, and telling whether somebody is who they say."""

from __future__ import annotations

import re
import unicodedata
from uuid import UUID

from sqlalchemy import false, or_, select, true
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from auth_service.domain import addresses, names, passwords, tickets
from auth_service.domain.passwords import weakness
from auth_service.models import User
from common.errors import Conflict, Invalid, Unauthorized
from common.events.auth import UserRegistered, UserUpdated
from common.ids import new_id
from common.outbox import record

_USERNAME = re.compile(r"[\w.'+-]{2,64}")


class UsernameTaken(Conflict):
    code = "username_taken"


class EmailTaken(Conflict):
    code = "email_taken"


class WrongCredentials(Unauthorized):
    """The same for a name that does not exist, a wrong password and a deactivated account."""

    code = "invalid_credentials"
    keeps_changes = True


def name_key(name: str) -> str:
    """What names are compared by: `USER@Example.com` and `user@example.com` are one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def username_problem(username: str) -> str | None:
    if "@" in username:
        return "must not contain @"
    if not _USERNAME.fullmatch(unicodedata.normalize("NFKC", username)):
        return "must have 2 to 64 letters, digits or . _ - + '"
    return names.problem(unicodedata.normalize("NFKC", username))


def register(
    session: Session, *, username: str, email: str, password: str, role: str = "customer", email_verified: bool = False
) -> User:
    """Make an account. Raises Invalid with every field in error, UsernameTaken or EmailTaken."""
    require_acceptable(username=username, email=email, password=password)
    require_free(session, username, email)
    kept = passwords.hash_password(password)
    return create(session, username=username, email=email, password_hash=kept, role=role, email_verified=email_verified)


def require_acceptable(*, username: str, email: str, password: str) -> None:
    """Raises Invalid with every field in error."""
    _require_valid(
        username=username_problem(username),
        email=addresses.problem(email),
        password=weakness(password, username, email, email.partition("@")[0]),
    )


def create(
    session: Session,
    *,
    username: str,
    email: str,
    password_hash: str | None,
    role: str = "customer",
    email_verified: bool = False,
) -> User:
    """The account itself, of what was found acceptable. Raises UsernameTaken or EmailTaken."""
    user = User(id=new_id(), password_hash=password_hash, role=role, email_verified=email_verified)
    _name(session, user, username, email)
    record(session, UserRegistered(user_id=user.id, username=user.username, email=user.email, role=role))
    return user


def register_without_password(session: Session, *, username: str, email: str) -> User:
    """An account whose address another provider vouches for. Raises as `register` does."""
    _require_valid(username=username_problem(username), email=addresses.problem(email))
    require_free(session, username, email)
    return create(session, username=username, email=email, password_hash=None, email_verified=True)


def rename(session: Session, user: User, *, username: str, email: str) -> None:
    """Change what an account is called. Raises Invalid, UsernameTaken or EmailTaken."""
    _require_valid(username=username_problem(username), email=addresses.problem(email))
    require_free(session, username, email, but=user)
    if addresses.key(email) != user.email_key:
        user.email_verified = False
    _name(session, user, username, email)
    record(session, UserUpdated(user_id=user.id, username=user.username, email=user.email, role=user.role))


def find(session: Session, identifier: str) -> User | None:
    """By username or mail address. Usernames have no @, so that one is never mistaken for the other."""
    is_it = (
        User.email_key == addresses.key(identifier) if "@" in identifier else User.username_key == name_key(identifier)
    )
    return session.scalar(select(User).where(is_it))


def active(session: Session, user_id: UUID, *, to_change: bool = False) -> User | None:
    """The account, which keeps its role and its password until what rests on them is committed."""
    found = select(User).where(User.id == user_id, User.is_active)
    return session.scalar(found.with_for_update(read=not to_change).execution_options(populate_existing=True))


def require_active(session: Session, user: User) -> None:
    """That the account is still to be let in, as `active`. Raises WrongCredentials."""
    if active(session, user.id) is None:
        raise WrongCredentials("This account cannot be used.")


def _name(session: Session, user: User, username: str, email: str) -> None:
    """Two who want one name at the same time: the table's unique keys let one of them have it."""
    try:
        with session.begin_nested():
            user.username, user.username_key = unicodedata.normalize("NFKC", username), name_key(username)
            user.username_skeleton = names.skeleton(username)
            user.email, user.email_key = addresses.normal(email), addresses.key(email)
            session.add(user)
    except IntegrityError:
        require_free(session, username, email, but=user)
        raise


def _require_valid(**problems: str | None) -> None:
    errors = [{"field": field, "message": problem} for field, problem in problems.items() if problem]
    if errors:
        raise Invalid("The request has invalid fields.", errors=errors)


def require_free(session: Session, username: str, email: str, *, but: User | None = None) -> None:
    """Raises UsernameTaken or EmailTaken."""
    keys = name_key(username), addresses.key(email)
    keeps_name = but is not None and but.username_key == keys[0]
    look = names.skeleton(username)
    alike = false() if keeps_name else User.username_skeleton == look
    same = or_(User.username_key == keys[0], alike, User.email_key == keys[1])
    others = User.id != but.id if but is not None else true()
    taken = session.execute(select(User.username_key, User.username_skeleton).where(same, others)).all()
    if not keeps_name and any(keys[0] == row.username_key or look == row.username_skeleton for row in taken):
        raise UsernameTaken("This username is taken, or looks like one that is.")
    if taken or tickets.keeps_address(session, keys[1], but.id if but else None):
        raise EmailTaken("This mail address is registered already.")
