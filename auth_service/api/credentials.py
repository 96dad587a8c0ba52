"""/api/v1/auth: passwords changed and set anew, mail verified, sessions listed and ended."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast
from uuid import UUID

from flask import Blueprint
from pydantic import Field
from sqlalchemy import Select

from auth_service.api import proving
from auth_service.api.authority import account_holder, current_sign_in
from auth_service.api.schemas import Password
from auth_service.domain import address_change, letters, sessions
from auth_service.models import SignInSession
from common.api import Page, PageQuery, Request, Response, accepts, returns
from common.auth import foreign_credentials, requires_user
from common.db import session
from common.pagination import Sort, paginate

api = Blueprint("credentials", __name__, url_prefix="/api/v1/auth")


class PasswordChange(Request):
    current_password: Password
    password: Password = Field(description="the new one")


class ResetRequest(Request):
    email: str = Field(max_length=500)


class ResetConfirmation(Request):
    token: str = Field(max_length=200)
    password: Password


class Verification(Request):
    token: str = Field(max_length=200)


class SessionAnswer(Response):
    id: UUID
    client: str = Field(description="who uses it: the names of the apps that hold tokens of it")
    user_agent: str
    address: str
    signed_in_at: datetime
    last_seen_at: datetime
    is_current: bool


@api.post("/password")
@requires_user()
@accepts(body=PasswordChange)
@returns(None, 204)
def change_password(body: PasswordChange) -> tuple[str, int]:
    """By the current one. Every other session ends."""
    user, keep = account_holder(), current_sign_in().id
    proving.change_password(user, current=body.current_password, new=body.password, keep=keep)
    return "", 204


@api.post("/password-reset")
@foreign_credentials
@accepts(body=ResetRequest)
@returns(None, 202)
def ask_for_reset(body: ResetRequest) -> tuple[str, int]:
    """Mails a link, if there is such an account: the answer does not tell."""
    proving.ask_for_reset(body.email)
    return "", 202


@api.post("/password-reset/confirm")
@foreign_credentials
@accepts(body=ResetConfirmation)
@returns(None, 204)
def reset_password(body: ResetConfirmation) -> tuple[str, int]:
    """Every session ends."""
    proving.reset_password(body.token, body.password)
    return "", 204


@api.post("/verify-email")
@foreign_credentials
@accepts(body=Verification)
@returns(None, 204)
def verify_email(body: Verification) -> tuple[str, int]:
    """The token of a mail: that an address is the account's own, or is to be from now on."""
    if address_change.confirm(session, body.token) is None:
        letters.verify_email(session, body.token)
    return "", 204


@api.get("/sessions")
@requires_user()
@accepts(query=PageQuery)
@returns(Page[SessionAnswer])
def list_sessions(query: PageQuery) -> dict[str, Any]:
    """One's own sessions that can still be used, the latest first."""
    user, current = account_holder(), current_sign_in()
    latest = [Sort(SignInSession.id, "id", descending=True)]
    return paginate(
        session,
        cast(Select[Any], sessions.living(user.id)),
        by=latest,
        query=query,
        row=lambda row: _session_answer(row[0], row.client, current),
    )


@api.delete("/sessions/<uuid:session_id>")
@requires_user()
@returns(None, 204)
def end_session(session_id: UUID) -> tuple[str, int]:
    sessions.end_own(session, account_holder().id, session_id)
    return "", 204


@api.post("/logout-all")
@requires_user()
@returns(None, 204)
def log_out_everywhere() -> tuple[str, int]:
    sessions.end_all(session, account_holder().id)
    return "", 204


def _session_answer(each: SignInSession, client: str, current: SignInSession) -> dict[str, Any]:
    return {
        "id": each.id,
        "client": client,
        "user_agent": each.user_agent,
        "address": each.address,
        "signed_in_at": each.authenticated_at,
        "last_seen_at": each.last_seen_at,
        "is_current": each.id == current.id,
    }
