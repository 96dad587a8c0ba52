"""GET and POST /userinfo (OpenID Connect Core section 5.3)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from auth_service.api.authority import signed_in_user
from common.auth import current_user, requires_user

api = Blueprint("userinfo", __name__)


@api.route("/userinfo", methods=["GET", "POST"])
@requires_user("openid")
def userinfo() -> tuple[dict[str, Any], int, dict[str, str]]:
    """Who the token's person is, as far as its scope tells."""
    user, bearer = signed_in_user(), current_user()
    claims: dict[str, Any] = {"sub": str(user.id)}
    if bearer.has("profile"):
        claims |= {"preferred_username": user.username, "updated_at": int(user.updated_at.timestamp())}
    if bearer.has("email"):
        claims |= {"email": user.email, "email_verified": user.email_verified}
    return claims, 200, {"Cache-Control": "no-store"}
