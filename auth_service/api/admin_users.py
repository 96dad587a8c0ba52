"""/api/v1/admin/users: everybody's accounts, for the staff."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from flask import Blueprint
from pydantic import Field
from sqlalchemy import Row

from auth_service.api.authority import signed_in_admin
from auth_service.api.schemas import Password, UserAnswer, user_answer
from auth_service.domain import accounts, administration, audit
from auth_service.models import User
from common.api import Page, PageQuery, Request, accepts, known_as, returns
from common.auth import requires_user
from common.db import session
from common.pagination import Sort, paginate

api = Blueprint("admin_users", __name__, url_prefix="/api/v1/admin/users")
Role = Literal["customer", "admin"]
_AUDITED = {"username", "email", "role", "is_active"}


class UserQuery(PageQuery):
    q: str | None = Field(None, max_length=200, description="somewhere in the username or the mail address")
    role: Role | None = None
    is_active: bool | None = None


class NewUser(Request):
    username: str = Field(max_length=200)
    email: str = Field(max_length=500)
    password: Password
    role: Role = "customer"


class UserChange(Request):
    username: str = Field(max_length=200)
    email: str = Field(max_length=500)
    role: Role
    is_active: bool | None = Field(None, description="left out, it stays")


@api.get("")
@requires_user("users:manage")
@accepts(query=UserQuery)
@returns(Page[UserAnswer])
def list_users(query: UserQuery) -> dict[str, Any]:
    """The newest first."""
    signed_in_admin()
    columns = User.__table__.c
    by = [Sort(columns.created_at, "created_at", descending=True), Sort(columns.id, "id", descending=True)]
    found = administration.found(q=query.q, role=query.role, is_active=query.is_active)
    return paginate(session, found, by=by, query=query, row=_row_answer)


@api.post("")
@requires_user("users:manage")
@accepts(body=NewUser)
@returns(UserAnswer, 201)
@known_as("createUser")
def create(body: NewUser) -> dict[str, Any]:
    actor = signed_in_admin()
    user = accounts.register(session, **body.model_dump())
    audit.note(session, actor_id=actor.id, action="user.created", resource_id=user.id, after=_audited(user))
    return user_answer(user)


@api.get("/<uuid:id>")
@requires_user("users:manage")
@returns(UserAnswer)
@known_as("getUser")
def read(id: UUID) -> dict[str, Any]:
    signed_in_admin()
    return user_answer(administration.find(session, id))


@api.put("/<uuid:id>")
@requires_user("users:manage")
@accepts(body=UserChange)
@returns(UserAnswer)
@known_as("changeUser")
def change(id: UUID, body: UserChange) -> dict[str, Any]:
    """With another role, tokens made before are refused; the next refresh gives what the new one allows."""
    actor, user = signed_in_admin(), administration.find(session, id)
    before = _audited(user)
    is_active = user.is_active if body.is_active is None else body.is_active
    wanted = body.model_dump() | {"is_active": is_active}
    administration.change(session, user, **wanted)
    _note(actor, "user.updated", user, before)
    return user_answer(user)


@api.delete("/<uuid:id>")
@requires_user("users:manage")
@returns(None, 204)
@known_as("eraseUser")
def erase(id: UUID) -> tuple[str, int]:
    """Forget the person, here and by an event in every service. Orders stay, without a name."""
    actor, user = signed_in_admin(), administration.find(session, id)
    before = {"role": user.role, "is_active": user.is_active}
    administration.erase(session, user)
    audit.note(session, actor_id=actor.id, action="user.erased", resource_id=id, before=before)
    return "", 204


@api.patch("/<uuid:id>/deactivate")
@requires_user("users:manage")
@returns(UserAnswer)
@known_as("deactivateUser")
def deactivate(id: UUID) -> dict[str, Any]:
    """Signed out everywhere within a second, and no way back in until reactivated."""
    actor, user = signed_in_admin(), administration.find(session, id)
    before = _audited(user)
    administration.deactivate(session, user)
    _note(actor, "user.deactivated", user, before)
    return user_answer(user)


@api.patch("/<uuid:id>/reactivate")
@requires_user("users:manage")
@returns(UserAnswer)
@known_as("reactivateUser")
def reactivate(id: UUID) -> dict[str, Any]:
    actor, user = signed_in_admin(), administration.find(session, id)
    before = _audited(user)
    administration.reactivate(session, user)
    _note(actor, "user.reactivated", user, before)
    return user_answer(user)


def _note(actor: User, action: str, user: User, before: dict[str, Any]) -> None:
    audit.note(session, actor_id=actor.id, action=action, resource_id=user.id, before=before, after=_audited(user))


def _audited(user: User) -> dict[str, Any]:
    return {name: getattr(user, name) for name in sorted(_AUDITED)}


def _row_answer(row: Row[Any]) -> dict[str, Any]:
    return user_answer(row[0])
