"""/api/v1/auth: registering, signing in and out, for programs that speak JSON."""

from __future__ import annotations

from typing import Any

from flask import Blueprint
from pydantic import Field

from auth_service.api import entering, proving
from auth_service.api.authority import authority, end_sign_in, signed_in_user
from auth_service.api.schemas import Password, TokenAnswer, UserAnswer, user_answer
from auth_service.domain import first_party, second_factor, sessions
from common.api import Request, accepts, known_as, returns
from common.auth import foreign_credentials, requires_user
from common.db import session
from common.errors import NotFound

api = Blueprint("auth", __name__, url_prefix="/api/v1/auth")


class Registration(Request):
    username: str = Field(max_length=200)
    email: str = Field(max_length=500)
    password: Password


class Credentials(Request):
    identifier: str = Field(max_length=500, description="username or mail address")
    password: Password
    otp: str | None = Field(None, max_length=100, description="where a second factor is set up; or a recovery code")


class RefreshRequest(Request):
    refresh_token: str = Field(max_length=5000)


class PasswordLoginDisabled(NotFound):
    code = "password_login_disabled"


@api.post("/register")
@foreign_credentials
@accepts(body=Registration)
@returns(UserAnswer, 201)
@known_as("registerAccount")
def register(body: Registration) -> dict[str, Any]:
    return user_answer(proving.register(username=body.username, email=body.email, password=body.password))


@api.post("/login")
@foreign_credentials
@accepts(body=Credentials)
@returns(TokenAnswer)
def login(body: Credentials) -> tuple[dict[str, Any], int, dict[str, str]]:
    config = authority.config
    if not config.password_login_enabled:
        raise PasswordLoginDisabled("Sign in through /authorize.")
    user, code = proving.with_password_and_code(body.identifier, body.password, body.otp)
    throttled = config.rate_limits_enabled
    second = second_factor.require(session, authority.vault, user, code, throttled=throttled)
    life = config.refresh_family_life
    started = entering.start_program(user, (*sessions.PASSWORD_ONLY, *second), life)
    return _uncached(first_party.tokens(session, authority.issuer, user, started, life=life))


@api.post("/refresh")
@foreign_credentials
@accepts(body=RefreshRequest)
@returns(TokenAnswer)
@known_as("refreshTokens")
def refresh(body: RefreshRequest) -> tuple[dict[str, Any], int, dict[str, str]]:
    grace = authority.config.refresh_grace
    return _uncached(first_party.refresh(session, authority.issuer, authority.vault, body.refresh_token, grace=grace))


@api.post("/logout")
@requires_user()
@returns(None, 204)
@known_as("logOut")
def logout() -> tuple[str, int]:
    """End this session, its refresh tokens and, in a browser, its sign-in. The account stays as it is.

    An app of somebody else only ends what it holds itself.
    """
    end_sign_in()
    return "", 204


@api.get("/me")
@requires_user("profile", "email")
@returns(UserAnswer)
@known_as("getMe")
def me() -> dict[str, Any]:
    return user_answer(signed_in_user())


def _uncached(tokens: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, str]]:
    return tokens, 200, {"Cache-Control": "no-store", "Pragma": "no-cache"}
