"""Shapes that more than one resource speaks in."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, StringConstraints

from auth_service.models import User
from common.api import Response

Password = Annotated[str, StringConstraints(strip_whitespace=False, max_length=1000)]
"""Taken as it is: a space may be part of it. What is too long is refused before it is hashed."""


class UserAnswer(Response):
    id: UUID
    username: str
    email: str
    role: str
    is_active: bool
    email_verified: bool
    created_at: datetime
    updated_at: datetime


class TokenAnswer(Response):
    access_token: str
    refresh_token: str
    token_type: str
    expires_in: int = Field(description="seconds")


def user_answer(user: User) -> dict[str, Any]:
    return UserAnswer.model_validate(user, from_attributes=True).model_dump()
