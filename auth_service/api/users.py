"""/api/v1/users/me: one's own account."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app
from pydantic import Field

from auth_service.api.authority import account_holder, authority, recent_account_holder, signed_in_user
from auth_service.api.peers import Peers
from auth_service.api.schemas import UserAnswer, user_answer
from auth_service.domain import accounts, administration, letters, people
from auth_service.models import User
from common.api import Request, accepts, returns
from common.auth import requires_user
from common.db import session, utcnow

api = Blueprint("users", __name__, url_prefix="/api/v1/users")


class Account(Request):
    username: str = Field(max_length=200)
    email: str = Field(max_length=500)


class AccountChange(Request):
    """What is left out stays."""

    username: str = Field("", max_length=200)
    email: str = Field("", max_length=500)


@api.get("/me")
@requires_user("profile", "email")
@returns(UserAnswer)
def me() -> dict[str, Any]:
    return user_answer(signed_in_user())


@api.put("/me")
@requires_user("profile", "email")
@accepts(body=Account)
@returns(UserAnswer)
def replace(body: Account) -> dict[str, Any]:
    user = _holder(body.email)
    accounts.rename(session, user, username=body.username, email=body.email)
    letters.ask_to_verify(session, user, authority.config.public_url)
    return user_answer(user)


@api.patch("/me")
@requires_user("profile", "email")
@accepts(body=AccountChange)
@returns(UserAnswer)
def change(body: AccountChange) -> dict[str, Any]:
    given = body.model_dump(exclude_unset=True)
    user = _holder(given.get("email"))
    accounts.rename(session, user, **({"username": user.username, "email": user.email} | given))
    if "email" in given:
        letters.ask_to_verify(session, user, authority.config.public_url)
    return user_answer(user)


@api.get("/me/export")
@requires_user("profile", "email")
@returns(dict)
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
def erase() -> tuple[str, int]:
    """Forget me, here and by an event in every service. Orders stay, without a name."""
    administration.erase(session, account_holder())
    return "", 204


def _holder(new_email: str | None) -> User:
    """A new address is a way to a new password: it takes a sign-in of a short while ago."""
    user = account_holder()
    return user if new_email in (None, user.email) else recent_account_holder()
