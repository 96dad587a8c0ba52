"""/account: home, password, devices and connected apps of who is signed in."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response

from auth_service.api import browser, proving
from auth_service.api.pages import again, problems_of, text
from auth_service.domain import consents, recovery, scopes, sessions
from auth_service.domain.throttle import SignInThrottled
from auth_service.models import SignInSession
from common.auth import public
from common.db import session
from common.errors import DomainError, Invalid, NotFound, Unavailable

api = Blueprint("account_pages", __name__, url_prefix="/account", template_folder="../templates")
REFUSALS = (browser.ForeignForm, recovery.WrongPassword, SignInThrottled, Invalid, Unavailable)
MOST_SHOWN = 100


@api.get("")
@public
def home() -> Response:
    _, user = browser.require_signed_in(session, "/account")
    return browser.page("home.html", on=session, return_to="/account", user=user)


@api.get("/password")
@public
def password() -> Response:
    browser.require_signed_in(session, "/account/password")
    return _password_form()


@api.post("/password")
@public
def submit_password() -> Response:
    current, user = browser.require_signed_in(session, "/account/password")
    try:
        browser.require_own_form()
        given, new = text("current_password", strip=False), text("password", strip=False)
        proving.change_password(user, current=given, new=new, keep=current.id)
    except REFUSALS as error:
        return again(error, _password_form(error))
    return browser.plain_page(
        "done.html",
        heading="Your password is changed",
        told="All other devices were signed out.",
        link="/account",
        label="To your account",
    )


@api.get("/devices")
@public
def devices() -> Response:
    current, user = browser.require_signed_in(session, "/account/devices")
    rows = session.execute(sessions.living(user.id).order_by(SignInSession.last_seen_at.desc()).limit(MOST_SHOWN)).all()
    shown = [{"session": row[0], "client": row.client, "name": device_name(row[0].user_agent)} for row in rows]
    return browser.page("devices.html", on=session, return_to="/account/devices", devices=shown, current=current)


@api.post("/devices/<uuid:session_id>/end")
@public
def end_device(session_id: UUID) -> Response:
    _, user = browser.require_signed_in(session, "/account/devices")
    browser.require_own_form()
    sessions.end_own(session, user.id, session_id)
    return browser.see_other("/account/devices")


@api.post("/devices/end-others")
@public
def end_other_devices() -> Response:
    current, user = browser.require_signed_in(session, "/account/devices")
    browser.require_own_form()
    sessions.end_all(session, user.id, but=current.id)
    return browser.see_other("/account/devices")


@api.get("/apps")
@public
def apps() -> Response:
    _, user = browser.require_signed_in(session, "/account/apps")
    shown = [
        {"client": client, "since": since, "may": scopes.described(" ".join(dict.fromkeys(scope.split())))}
        for client, scope, since in consents.connected(session, user.id, most=MOST_SHOWN)
    ]
    return browser.page("apps.html", on=session, return_to="/account/apps", apps=shown)


@api.post("/apps/revoke")
@public
def revoke_app() -> Response:
    """The app has to ask again, and what it holds is worth nothing any more."""
    _, user = browser.require_signed_in(session, "/account/apps")
    browser.require_own_form()
    consents.withdraw(session, user.id, text("client_id"))
    return browser.see_other("/account/apps")


@api.errorhandler(browser.NotSignedIn)
def to_sign_in(error: browser.NotSignedIn) -> Response:
    return browser.sign_in_first(error)


@api.errorhandler(browser.ForeignForm)
@api.errorhandler(NotFound)
def refused(error: DomainError) -> Response:
    return browser.refused(error)


def device_name(user_agent: str) -> str:
    """A browser and its system in words; what is no browser is named as it names itself."""
    browsers = (
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    )
    systems = (
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS X", "Mac"),
        ("Linux", "Linux"),
    )
    kind = next((name for mark, name in browsers if mark in user_agent), None)
    system = next((name for mark, name in systems if mark in user_agent), None)
    if kind is None:
        return user_agent[:60] or "Unknown device"
    return f"{kind} on {system}" if system else kind


def _password_form(refusal: DomainError | None = None) -> Response:
    problems = problems_of(refusal)
    if isinstance(refusal, recovery.WrongPassword):
        problems = {"current_password": "is wrong"}
    return browser.page(
        "password.html",
        status=refusal.status if refusal else 200,
        on=session,
        return_to="/account/password",
        problems=problems,
    )
