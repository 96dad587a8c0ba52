"""For the gateway and the other services; the gateway never routes here."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from flask import Blueprint, current_app
from pydantic import Field
from sqlalchemy import select

from auth_service.models import User
from auth_service.news import RevocationNews
from common.api import Page, PageQuery, Request, Response, accepts, polled, returns
from common.auth import requires
from common.db import session
from common.pagination import Sort, paginate

api = Blueprint("internal", __name__, url_prefix="/internal")


class RevocationQuery(Request):
    after: int = Field(0, ge=0, lt=2**63, description="`next` of the answer before")
    again: int = Field(0, ge=0, lt=2**31, description="`again` of the answer before")
    wait: int = Field(0, ge=0, le=60, description="for how many seconds to wait until there is more than that")


class RevokedOut(Response):
    kind: Literal["session", "family", "subject", "client", "token"]
    id: str = Field(description="what the claim sid, fid, sub, client_id or jti of a refused token says")
    at: float = Field(description="Unix time; tokens of a subject or a client are refused if they were issued before")


class RevocationsOut(Response):
    items: list[RevokedOut]
    next: int
    again: int = Field(description="how many of the items are told once more, since older transactions go on")


@api.get("/revocations")
@polled
@requires("replicas:read")
@accepts(query=RevocationQuery)
@returns(RevocationsOut)
def list_revocations(query: RevocationQuery) -> dict[str, Any]:
    """What was revoked since `after`, as long as tokens made before it may still be around."""
    news: RevocationNews = current_app.extensions["revocation_news"]
    return news.since(query.after, query.again, query.wait)


class UserQuery(PageQuery):
    limit: int = Field(500, ge=1, le=1000)


class ContactOut(Response):
    user_id: UUID
    username: str
    email: str


@api.get("/users")
@requires("replicas:read")
@accepts(query=UserQuery)
@returns(Page[ContactOut])
def list_users(query: UserQuery) -> dict[str, Any]:
    """How everybody is reached, for the services that write mails."""
    columns = User.__table__.c
    everybody = select(columns.id.label("user_id"), columns.username, columns.email)
    return paginate(session, everybody, by=[Sort(columns.id, "user_id")], query=query, row=_contact)


def _contact(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ContactOut.model_fields}
