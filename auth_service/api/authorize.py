"""GET and POST /authorize, and the consent page: the browser's way to an authorization code."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qsl, urlencode

from flask import Blueprint, Response, request
from sqlalchemy.orm import Session

from auth_service.api import browser
from auth_service.api.authority import authority
from auth_service.domain import redirects, scopes
from auth_service.domain.oauth import authorization
from auth_service.domain.oauth.authorization import AuthorizationRequest, RedirectBack, Step, Unverified
from auth_service.models import SignInSession, User
from common.auth import foreign_credentials, public
from common.db import end_request_session, transaction

api = Blueprint("authorize", __name__, template_folder="../templates")
Pairs = Sequence[tuple[str, str]]
LONGEST_WAY_BACK = 7000
"""Characters of the address of the sign-in page, with the request in it: a browser asks for no more than 8190."""
TO_PROVE = frozenset({Step.SIGN_IN, Step.STEP_UP})


@api.route("/authorize", methods=["GET", "POST"])
@foreign_credentials
def authorize() -> Response:
    """Ask for a code; the person signs in and agrees on the way, where needed."""
    pairs = _pairs()
    with transaction() as opened:
        asked = authorization.read(opened, pairs, authority.provider)
        if len(_sign_in_url(pairs)) > LONGEST_WAY_BACK:
            raise Unverified("This request is too long to come back to. The app can push it to us instead (RFC 9126).")
        signed_in = browser.signed_in(opened)
        step = authorization.next_step(opened, asked, signed_in, demanded_at=browser.demanded_at(pairs))
        if signed_in is None or step in TO_PROVE:
            return _prove_first(pairs, asked, step)
        if step is Step.CONSENT:
            return _consent_page(opened, pairs, asked, signed_in[1])
        return _back_to_client(opened, pairs, asked, *signed_in)


@api.post("/account/consent")
@public
def consent() -> Response:
    """The answer to the consent page. The request comes from the browser again, so all that it demands is looked at."""
    browser.require_own_form()
    pairs = parse_qsl(request.form.get("request", ""), keep_blank_values=True)
    with transaction() as opened:
        asked = authorization.read(opened, pairs, authority.provider)
        if request.form.get("decision") != "allow":
            authorization.deny(opened, asked)
            return browser.see_other(asked.refuse("access_denied", "The person did not allow this.").location)
        signed_in = browser.signed_in(opened)
        step = authorization.next_step(opened, asked, signed_in, demanded_at=browser.demanded_at(pairs))
        if signed_in is None or step in TO_PROVE:
            return _prove_first(pairs, asked, step)
        authorization.allow(opened, asked, signed_in[1])
        return _back_to_client(opened, pairs, asked, *signed_in)


@api.errorhandler(RedirectBack)
def send_back(error: RedirectBack) -> Response:
    end_request_session(commit=False)
    return browser.see_other(error.location)


@api.errorhandler(Unverified)
def show(error: Unverified) -> Response:
    end_request_session(commit=False)
    return browser.error_page(error.status, str(error.detail))


@api.errorhandler(browser.ForeignForm)
def show_expired(error: browser.ForeignForm) -> Response:
    end_request_session(commit=False)
    return browser.error_page(error.status, str(error.detail))


def _pairs() -> Pairs:
    """The query's parameters, or the form's of a POST (OpenID Connect Core section 3.1.2.1)."""
    given = request.form if request.method == "POST" else request.args
    return list(given.items(multi=True))


def _prove_first(pairs: Pairs, asked: AuthorizationRequest, step: Step) -> Response:
    """To the page on which the person shows who they are, or a second factor; it leads back to this request."""
    if step is Step.STEP_UP:
        return browser.see_other(f"/account/step-up?{browser.query(browser.returning(pairs))}")
    return _to_sign_in(pairs, login_hint=asked.login_hint if asked.request_uri else "")


def _to_sign_in(pairs: Pairs, *, login_hint: str = "") -> Response:
    """A POST from another site comes without the cookie (SameSite): the same request by GET will have it."""
    if request.path == "/authorize" and request.method == "POST":
        return browser.see_other(f"/authorize?{urlencode(pairs)}")
    return browser.see_other(_sign_in_url(pairs, login_hint=login_hint))


def _sign_in_url(pairs: Pairs, *, login_hint: str = "") -> str:
    hint = {"login_hint": login_hint} if login_hint else {}
    return f"/account/sign-in?{urlencode({'return_to': browser.returning(pairs)} | hint)}"


def _consent_page(opened: Session, pairs: Pairs, asked: AuthorizationRequest, user: User) -> Response:
    return browser.page(
        "consent.html",
        return_to=f"/authorize?{urlencode(pairs)}",
        on=opened,
        client=asked.client,
        user=user,
        request_query=urlencode(pairs),
        return_host=redirects.form_target(asked.redirect_uri),
        sign_in_url=_sign_in_url(pairs),
        permissions=scopes.described(asked.to_allow(user)),
    )


def _back_to_client(
    opened: Session, pairs: Pairs, asked: AuthorizationRequest, sign_in: SignInSession, user: User
) -> Response:
    was_demanded = asked.is_about_freshness and browser.use_up_demand(opened, pairs)
    if not was_demanded and authorization.wants_new_sign_in(asked, sign_in):
        return _to_sign_in(pairs)
    life = authority.config.authorization_code_life
    return browser.see_other(authorization.grant(opened, asked, sign_in, user, code_life=life))
