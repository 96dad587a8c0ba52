"""GET and POST /userinfo (OpenID Connect Core section 5.3)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint

from auth_service.api.authority import signed_in_user
from auth_service.domain.oauth import claims
from auth_service.models import Client, TokenFamily
from common.auth import current_user, requires_user
from common.db import session

api = Blueprint("userinfo", __name__)


@api.route("/userinfo", methods=["GET", "POST"])
@requires_user("openid")
def userinfo() -> tuple[dict[str, Any], int, dict[str, str]]:
    """Who the token's person is, as far as its scope tells."""
    user, bearer = signed_in_user(), current_user()
    family = session.get_one(TokenFamily, UUID(bearer.claims["fid"]))
    client = session.get(Client, family.client_id)
    names = [
        *claims.of_scope(bearer.scopes),
        *claims.still_allowed(family.claims.get("userinfo", ()), client),
    ]
    return {"sub": str(user.id)} | claims.about(user, names), 200, {"Cache-Control": "no-store"}
