"""/account: forgot and reset password, and the link that verifies a mail address."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from auth_service.api import browser, proving
from auth_service.api.authority import authority
from auth_service.api.pages import again, problems_of, text
from auth_service.domain import address_change, letters
from common.auth import public
from common.db import session
from common.errors import Conflict, DomainError, Invalid, TooManyRequests, Unavailable

api = Blueprint("recovery_pages", __name__, url_prefix="/account", template_folder="../templates")
REFUSALS = (browser.ForeignForm, Invalid, Conflict, TooManyRequests, Unavailable)


@api.get("/forgot-password")
@public
def forgot() -> Response:
    return _form("forgot_password.html")


@api.post("/forgot-password")
@public
def submit_forgot() -> Response:
    email = text("email")
    try:
        browser.require_own_form()
        proving.ask_for_reset(email)
    except REFUSALS as error:
        return again(error, _form("forgot_password.html", error, email=email))
    return browser.plain_page(
        "look_into_mail.html", email=email, why="If there is an account with it, a link is there."
    )


@api.get("/reset-password")
@public
def reset() -> Response:
    return _form("reset_password.html", token=request.args.get("token", ""))


@api.post("/reset-password")
@public
def submit_reset() -> Response:
    token = text("token")
    try:
        browser.require_own_form()
        proving.reset_password(token, text("password", strip=False))
    except REFUSALS as error:
        return again(error, _form("reset_password.html", error, token=token))
    return browser.plain_page(
        "done.html",
        heading="Your new password is set",
        told="Every device was signed out. Sign in with it from now on.",
        link="/account/sign-in",
        label="Sign in",
    )


@api.get("/verify-email")
@public
def verify() -> Response:
    """A page with a button: what only looks at links, as mail scanners do, uses nothing up."""
    return _form("verify_email.html", token=request.args.get("token", ""))


@api.post("/verify-email")
@public
def submit_verification() -> Response:
    token = text("token")
    try:
        browser.require_own_form()
        user = address_change.confirm(session, token) or letters.verify_email(session, token)
    except REFUSALS as error:
        return again(error, _form("verify_email.html", error, token=token))
    told = f"{user.email} is yours."
    return browser.plain_page("done.html", heading="Thank you", told=told, link="/account", label="To your account")


@api.post("/verify-email/send")
@public
def send_verification() -> Response:
    _, user = browser.require_signed_in(session, "/account")
    browser.require_own_form()
    letters.ask_to_verify(session, user, authority.config.public_url)
    return browser.plain_page("look_into_mail.html", email=user.email, why="The link in our mail confirms it.")


@api.get("/undo-address")
@public
def undo_address() -> Response:
    return _form("undo_address.html", token=request.args.get("token", ""))


@api.post("/undo-address")
@public
def submit_undo() -> Response:
    token = text("token")
    try:
        browser.require_own_form()
        user = address_change.undo(session, token)
    except REFUSALS as error:
        return again(error, _form("undo_address.html", error, token=token))
    return browser.plain_page(
        "done.html",
        heading="Your address stays",
        told=f"{user.email} is the address of your account, and every device was signed out. "
        "Choose a new password now: somebody may know the old one.",
        link="/account/forgot-password",
        label="Choose a new password",
    )


@api.errorhandler(browser.NotSignedIn)
def to_sign_in(error: browser.NotSignedIn) -> Response:
    return browser.sign_in_first(error)


@api.errorhandler(browser.ForeignForm)
def expired(error: browser.ForeignForm) -> Response:
    return browser.refused(error)


def _form(template: str, refusal: DomainError | None = None, **values: Any) -> Response:
    return browser.page(
        template,
        status=refusal.status if refusal else 200,
        on=session,
        return_to=browser.HOME,
        problems=problems_of(refusal),
        **({"email": ""} | values),
    )
