"""/account/device: where a person allows a device that has no browser (RFC 8628 section 3.3)."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, Response, request
from sqlalchemy.orm import Session

from auth_service.api import browser
from auth_service.api.authority import authority
from auth_service.domain import devices, scopes, throttle
from auth_service.domain.throttle import SignInThrottled
from auth_service.models import Client, DeviceCode, SignInSession, User
from common.auth import public
from common.db import end_request_session, session

api = Blueprint("device", __name__, url_prefix="/account/device", template_folder="../templates")
SignedIn = tuple[SignInSession, User]


@api.get("")
@public
def ask() -> Response:
    """The form for the code; a link may have filled it in, but the person sends it."""
    signed_in = browser.signed_in(session)
    return _code_form(signed_in[1], _user_code()) if signed_in else _to_sign_in()


@api.post("")
@public
def look_up() -> Response:
    """The device that shows the code, and what it wants."""
    browser.require_own_form()
    signed_in = browser.signed_in(session)
    if signed_in is None:
        return _to_sign_in()
    device, client = _waiting(session, signed_in[1])
    return browser.page(
        "device_allow.html",
        return_to=browser.HOME,
        on=session,
        client=client,
        user=signed_in[1],
        user_code=_user_code(),
        permissions=scopes.described(scopes.within(device.scope.split(), signed_in[1].role)),
    )


@api.post("/decide")
@public
def decide() -> Response:
    """The person's decision."""
    browser.require_own_form()
    signed_in = browser.signed_in(session)
    if signed_in is None:
        return _to_sign_in()
    device, client = _waiting(session, signed_in[1])
    allowed = request.form.get("decision") == "allow"
    if allowed:
        devices.allow(session, device, client, *signed_in, life=authority.config.refresh_family_life)
    else:
        device.state = "denied"
    return browser.plain_page("device_done.html", allowed=allowed)


@api.errorhandler(devices.NoSuchCode)
@api.errorhandler(SignInThrottled)
def try_again(error: devices.NoSuchCode | SignInThrottled) -> Response:
    end_request_session(commit=error.keeps_changes)
    signed_in = browser.signed_in(session)
    if signed_in is None:
        return _to_sign_in()
    return _code_form(signed_in[1], _user_code(), message=str(error.detail), status=error.status)


@api.errorhandler(browser.ForeignForm)
def show_expired(error: browser.ForeignForm) -> Response:
    end_request_session(commit=False)
    return browser.error_page(error.status, str(error.detail))


def _waiting(on: Session, user: User) -> tuple[DeviceCode, Client]:
    """Guesses are counted by account. Raises NoSuchCode or SignInThrottled."""
    counted = throttle.guesses("device code", str(user.id)) if authority.config.rate_limits_enabled else ()
    throttle.require_patience(on, counted)
    try:
        return devices.waiting(on, _user_code())
    except devices.NoSuchCode:
        throttle.count_failure(on, counted)
        raise


def _code_form(user: User, user_code: str, *, message: str = "", status: int = 200) -> Response:
    return browser.page(
        "device.html",
        status=status,
        return_to=browser.HOME,
        on=session,
        user=user,
        user_code=user_code,
        message=message,
    )


def _to_sign_in() -> Response:
    back = f"/account/device?{urlencode({'user_code': _user_code()})}"
    return browser.see_other(f"/account/sign-in?{urlencode({'return_to': back})}")


def _user_code() -> str:
    return request.values.get("user_code", "").replace("\x00", "")[:40]
