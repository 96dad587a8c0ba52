"""/api/v1/users/me: one's own account."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from auth_service.api.authority import signed_in_user
from auth_service.api.schemas import UserAnswer, user_answer
from common.api import returns
from common.auth import requires_user

api = Blueprint("users", __name__, url_prefix="/api/v1/users")


@api.get("/me")
@requires_user("profile", "email")
@returns(UserAnswer)
def me() -> dict[str, Any]:
    return user_answer(signed_in_user())
