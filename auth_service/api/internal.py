"""For the gateway and the other services; the gateway never routes here."""

from __future__ import annotations

from typing import Any, Literal

from flask import Blueprint
from pydantic import Field

from auth_service.domain import revocations
from common.api import Request, Response, accepts, returns
from common.auth import requires
from common.db import session

api = Blueprint("internal", __name__, url_prefix="/internal")


class RevocationQuery(Request):
    after: int = Field(0, ge=0, lt=2**63, description="`next` of the answer before")


class RevokedOut(Response):
    kind: Literal["session", "family", "subject"]
    id: str = Field(description="what the claim sid, fid or sub of a refused token says")
    at: float = Field(description="Unix time; a subject's tokens are refused if they were issued before")


class RevocationsOut(Response):
    items: list[RevokedOut]
    next: int


@api.get("/revocations")
@requires("replicas:read")
@accepts(query=RevocationQuery)
@returns(RevocationsOut)
def list_revocations(query: RevocationQuery) -> dict[str, Any]:
    """What was revoked since `after`, as long as tokens made before it may still be around."""
    return revocations.since(session, query.after)
