"""/api/v1/users/me: one's own account."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app
from pydantic import Field

from auth_service.api.authority import account_holder, authority, recent_account_holder, signed_in_user
from auth_service.api.peers import Peers
from auth_service.api.schemas import UserAnswer, user_answer
from auth_service.domain import accounts, address_change, addresses, administration, people
from auth_service.models import User
from common.api import Request, accepts, known_as, returns
from common.auth import requires_user
from common.db import session, utcnow

api = Blueprint("users", __name__, url_prefix="/api/v1/users")


class OwnAccount(UserAnswer):
    pending_email: str | None = Field(description="an address that waits for being confirmed")


class Account(Request):
    username: str = Field(max_length=200)
    email: str = Field(max_length=500)


class AccountChange(Request):
    """What is left out stays."""

    username: str = Field("", max_length=200)
    email: str = Field("", max_length=500)


@api.get("/me")
@requires_user("profile", "email")
@returns(OwnAccount)
@known_as("getProfile")
def me() -> dict[str, Any]:
    return _own(signed_in_user())


@api.put("/me")
@requires_user("profile", "email")
@accepts(body=Account)
@returns(OwnAccount)
@known_as("replaceProfile")
def replace(body: Account) -> dict[str, Any]:
    """A new mail address counts once it is confirmed by the link in a mail to it: `pending_email` until then."""
    return _changed(username=body.username, email=body.email)


@api.patch("/me")
@requires_user("profile", "email")
@accepts(body=AccountChange)
@returns(OwnAccount)
@known_as("changeProfile")
def change(body: AccountChange) -> dict[str, Any]:
    """Change some of it; a new mail address as when replacing all."""
    return _changed(**body.model_dump(exclude_unset=True))


@api.get("/me/export")
@requires_user("profile", "email")
@returns(dict)
@known_as("exportMyData")
def export() -> tuple[dict[str, Any], int, dict[str, str]]:
    """All that every service holds about me."""
    user = account_holder()
    own = {"account": user_answer(user)} | people.data(session, user)
    peers: Peers = current_app.extensions["peers"]
    content = {"exported_at": utcnow(), "auth": own} | peers.data_of(user.id)
    return content, 200, {"Content-Disposition": 'attachment; filename="my-data.json"', "Cache-Control": "no-store"}


@api.delete("/me")
@requires_user("profile", "email")
@returns(None, 204)
@known_as("eraseMe")
def erase() -> tuple[str, int]:
    """Forget me, here and by an event in every service. Orders stay, without a name."""
    administration.erase(session, account_holder())
    return "", 204


def _changed(*, username: str | None = None, email: str | None = None) -> dict[str, Any]:
    """A new address is a way to a new password: it takes a sign-in of a short while ago."""
    user = account_holder()
    is_new = email is not None and (addresses.problem(email) or addresses.key(email) != user.email_key)
    if is_new:
        user = recent_account_holder()
    name = user.username if username is None else username
    accounts.rename(session, user, username=name, email=user.email if is_new or email is None else email)
    if email is not None and is_new:
        address_change.ask(session, user, email, authority.config.public_url)
    return _own(user)


def _own(user: User) -> dict[str, Any]:
    return user_answer(user) | {"pending_email": address_change.pending(session, user)}
