"""/api/v1/auth/mfa: second factors and passkeys, for programs of the store."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
import segno
from flask import Blueprint
from pydantic import Field

from auth_service.api import entering
from auth_service.api.authority import account_holder, authority, current_sign_in, recent_account_holder
from auth_service.api.schemas import TokenAnswer
from auth_service.domain import first_party, passkeys, second_factor, sessions
from auth_service.models import Passkey
from common.api import JsonObject, Request, Response, accepts, known_as, returns
from common.auth import public, requires_user
from common.db import session

api = Blueprint("mfa", __name__, url_prefix="/api/v1/auth")
UNCACHED = {"Cache-Control": "no-store"}


class Code(Request):
    code: str = Field(max_length=100)


class TotpAnswer(Response):
    secret: str
    otpauth_uri: str
    qr_svg: str


class RecoveryCodes(Response):
    recovery_codes: list[str] = Field(description="shown this once")


class CeremonyAnswer(Response):
    options: dict[str, Any] = Field(description="for navigator.credentials (WebAuthn Level 3, JSON)")
    ticket: str


class PasskeyRegistration(Request):
    ticket: str = Field(max_length=200)
    credential: JsonObject
    name: str = Field("", max_length=60)


class PasskeySignIn(Request):
    ticket: str = Field(max_length=200)
    credential: JsonObject


class PasskeyAnswer(Response):
    id: UUID
    name: str
    created_at: datetime
    last_used_at: datetime | None


class PasskeyList(Response):
    items: list[PasskeyAnswer]


@api.post("/mfa/totp")
@requires_user()
@returns(TotpAnswer, 200)
@known_as("enrolTotp")
def enrol() -> tuple[dict[str, Any], int, dict[str, str]]:
    """A secret for an authenticator app. It counts once a code of it was shown."""
    user = recent_account_holder()
    secret = second_factor.enrol(session, authority.vault, user)
    address = second_factor.address_of(user, secret)
    return {"secret": secret, "otpauth_uri": address, "qr_svg": qr_code(address)}, 200, UNCACHED


@api.post("/mfa/totp/confirm")
@requires_user()
@accepts(body=Code)
@returns(RecoveryCodes, 200)
@known_as("confirmTotp")
def confirm(body: Code) -> tuple[dict[str, Any], int, dict[str, str]]:
    user = recent_account_holder()
    codes = second_factor.confirm(session, authority.vault, user, body.code, current=current_sign_in())
    return {"recovery_codes": codes}, 200, UNCACHED


@api.delete("/mfa/totp")
@requires_user()
@returns(None, 204)
@known_as("removeTotp")
def remove() -> tuple[str, int]:
    second_factor.remove(session, recent_account_holder())
    return "", 204


@api.get("/mfa/passkeys")
@requires_user()
@returns(PasskeyList)
def list_passkeys() -> dict[str, Any]:
    return {"items": [passkey_answer(each) for each in passkeys.of(session, account_holder().id)]}


@api.post("/mfa/passkeys/options")
@requires_user()
@returns(CeremonyAnswer, 200)
@known_as("beginPasskeyRegistration")
def begin_registration() -> tuple[dict[str, Any], int, dict[str, str]]:
    return _begun(passkeys.begin_registration(session, site(), recent_account_holder()))


@api.post("/mfa/passkeys")
@requires_user()
@accepts(body=PasskeyRegistration)
@returns(PasskeyAnswer, 201)
@known_as("registerPasskey")
def register(body: PasskeyRegistration) -> dict[str, Any]:
    user, answer = recent_account_holder(), orjson.dumps(body.credential).decode()
    made = passkeys.finish_registration(session, site(), user, ticket=body.ticket, answer=answer, name=body.name)
    sessions.strengthen(session, current_sign_in(), passkeys.AMR)
    return passkey_answer(made)


@api.delete("/mfa/passkeys/<uuid:passkey_id>")
@requires_user()
@returns(None, 204)
def remove_passkey(passkey_id: UUID) -> tuple[str, int]:
    passkeys.remove(session, recent_account_holder(), passkey_id)
    return "", 204


@api.post("/passkey/options")
@public
@returns(CeremonyAnswer, 200)
@known_as("beginPasskeySignIn")
def begin_sign_in() -> tuple[dict[str, Any], int, dict[str, str]]:
    return _begun(passkeys.begin_sign_in(session, site()))


@api.post("/passkey")
@public
@accepts(body=PasskeySignIn)
@returns(TokenAnswer, 200)
@known_as("signInWithPasskey")
def sign_in(body: PasskeySignIn) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Both factors in one."""
    answer = orjson.dumps(body.credential).decode()
    user = passkeys.finish_sign_in(session, site(), ticket=body.ticket, answer=answer)
    life = authority.config.refresh_family_life
    started = entering.start_program(user, passkeys.AMR, life)
    return first_party.tokens(session, authority.issuer, user, started, life=life), 200, UNCACHED


def site() -> passkeys.Site:
    return passkeys.Site.of(authority.config.public_url)


def qr_code(address: str) -> str:
    """An SVG image that brings its own colours: scanners want dark on light, also at night."""
    return segno.make(address, error="m").svg_inline(
        scale=5, border=3, dark="#000", light="#fff", omitsize=True, svgclass="qr", lineclass=None
    )


def passkey_answer(each: Passkey) -> dict[str, Any]:
    return PasskeyAnswer.model_validate(each, from_attributes=True).model_dump()


def _begun(ceremony: passkeys.Ceremony) -> tuple[dict[str, Any], int, dict[str, str]]:
    return {"options": orjson.loads(ceremony.options), "ticket": ceremony.ticket}, 200, UNCACHED
