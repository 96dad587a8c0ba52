"""/account: the sign-in and registration pages."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode, urlsplit

from flask import Blueprint, Response, request

from auth_service import federation
from auth_service.api import browser, entering, proving
from auth_service.api.authority import authority
from auth_service.domain import accounts, sessions
from auth_service.domain.identities import NAMES
from common.auth import public
from common.db import end_request_session, session
from common.errors import Conflict, DomainError, Invalid, TooManyRequests, Unavailable

api = Blueprint(
    "pages",
    __name__,
    url_prefix="/account",
    template_folder="../templates",
    static_folder="../static",
    static_url_path="/static",
)
REFUSALS = (
    browser.ForeignForm,
    entering.EmailUnverified,
    accounts.WrongCredentials,
    TooManyRequests,
    Invalid,
    Conflict,
    Unavailable,
)


@api.get("/sign-in")
@public
def sign_in_page() -> Response:
    return_to = browser.safe_return(request.args.get("return_to"))
    return _sign_in_form(return_to, identifier=_login_hint(return_to))


@api.post("/sign-in")
@public
def submit_sign_in() -> Response:
    return_to = browser.safe_return(request.form.get("return_to"))
    identifier = text("identifier")
    try:
        browser.require_own_form()
        user = proving.with_password(identifier, text("password", strip=False))
        entered = entering.enter(session, user, return_to, sessions.PASSWORD_ONLY)
    except REFUSALS as error:
        return again(error, _sign_in_form(return_to, identifier=identifier, refusal=error))
    return entered


@api.get("/register")
@public
def register_page() -> Response:
    return _register_form(browser.safe_return(request.args.get("return_to")))


@api.post("/register")
@public
def submit_registration() -> Response:
    return_to = browser.safe_return(request.form.get("return_to"))
    username, email = text("username"), text("email")
    try:
        browser.require_own_form()
        user = proving.register(username=username, email=email, password=text("password", strip=False))
    except REFUSALS as error:
        return again(error, _register_form(return_to, username=username, email=email, refusal=error))
    if authority.config.require_verified_email:
        return browser.plain_page("look_into_mail.html", email=user.email, why="Confirm your address, then sign in.")
    return entering.let_in(session, user, return_to, sessions.PASSWORD_ONLY)


def again(error: DomainError, form: Response) -> Response:
    """The form once more, with what was wrong; a failure that counts is committed as in the JSON API."""
    end_request_session(commit=error.keeps_changes)
    form.headers.extend({name: value for name, value in error.headers.items() if name == "Retry-After"})
    return form


def _sign_in_form(return_to: str, *, identifier: str = "", refusal: DomainError | None = None) -> Response:
    return browser.page(
        "sign_in.html",
        status=refusal.status if refusal else 200,
        return_to=return_to,
        on=session,
        identifier=identifier,
        message=refusal.detail if refusal else None,
        query=urlencode({"return_to": return_to}),
        providers={each: NAMES[each] for each in federation.offered(authority.config)},
        register_url=f"/account/register?{urlencode({'return_to': return_to})}",
    )


def _register_form(
    return_to: str, *, username: str = "", email: str = "", refusal: DomainError | None = None
) -> Response:
    return browser.page(
        "register.html",
        status=refusal.status if refusal else 200,
        return_to=return_to,
        on=session,
        username=username,
        email=email,
        problems=problems_of(refusal),
        sign_in_url=f"/account/sign-in?{urlencode({'return_to': return_to})}",
    )


def problems_of(refusal: DomainError | None) -> dict[str, str]:
    """Messages by field; one that belongs to no field stands under the empty name."""
    if refusal is None:
        return {}
    if isinstance(refusal, accounts.UsernameTaken):
        return {"username": "is taken"}
    if isinstance(refusal, accounts.EmailTaken):
        return {"email": "is registered already; sign in instead"}
    errors = refusal.extra.get("errors", [])
    return {each["field"]: each["message"] for each in errors} or {"": refusal.detail or ""}


def _login_hint(return_to: str) -> str:
    """Beside the way back where the request itself is not in it (RFC 9126)."""
    given = parse_qs(urlsplit(return_to).query).get("login_hint", [request.args.get("login_hint", "")])
    return given[0].replace("\x00", "")[:254]


def text(name: str, *, strip: bool = True) -> str:
    """A field as typed, without what a database cannot hold."""
    value = request.form.get(name, "").replace("\x00", "")[:1000]
    return value.strip() if strip else value
