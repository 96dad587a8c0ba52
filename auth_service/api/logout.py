"""GET and POST /logout: signing out because an app asks for it, or because the person does."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from flask import Blueprint, Response, request
from sqlalchemy.orm import Session

from auth_service.api import browser
from auth_service.api.authority import authority
from auth_service.domain import sessions
from auth_service.domain.oauth import end_session
from auth_service.domain.oauth.end_session import BadLogout, LogoutRequest
from common.auth import foreign_credentials, public
from common.db import end_request_session, transaction

api = Blueprint("logout", __name__, template_folder="../templates")
Pairs = list[tuple[str, str]]


@api.route("/logout", methods=["GET", "POST"])
@foreign_credentials
def logout() -> Response:
    """End the session that the app's ID token names; without one, or when it is about somebody else, ask first."""
    given = request.form if request.method == "POST" else request.args
    pairs = list(given.items(multi=True))
    with transaction() as opened:
        asked = end_session.read(opened, pairs, authority.provider)
        signed_in = browser.signed_in(opened)
        is_somebody_else = signed_in is not None and signed_in[1].id != asked.hinted_subject
        if asked.hinted_session is not None and not is_somebody_else:
            if signed_in is not None:
                sessions.end(opened, signed_in[0].id)
            sessions.end(opened, asked.hinted_session)
            return _signed_out(asked)
        if signed_in is None and request.method == "GET":
            return _signed_out(asked)
        if request.method == "POST":  # sent by another site, it comes without the cookie (SameSite)
            return browser.see_other(f"/logout?{urlencode(_without_hint(pairs, asked))}")
        return _question(opened, pairs, asked)


@api.post("/account/sign-out")
@public
def sign_out() -> Response:
    """The answer to the question."""
    browser.require_own_form()
    pairs = parse_qsl(request.form.get("request", ""), keep_blank_values=True)
    with transaction() as opened:
        asked = end_session.read(opened, pairs, authority.provider)
        if request.form.get("decision") != "sign-out":
            return browser.see_other(browser.HOME)
        if signed_in := browser.signed_in(opened):
            sessions.end(opened, signed_in[0].id)
        return _signed_out(asked)


@api.errorhandler(BadLogout)
@api.errorhandler(browser.ForeignForm)
def show(error: BadLogout | browser.ForeignForm) -> Response:
    end_request_session(commit=False)
    return browser.error_page(error.status, str(error.detail))


def _question(opened: Session, pairs: Pairs, asked: LogoutRequest) -> Response:
    signed_in = browser.signed_in(opened)
    return browser.page(
        "sign_out.html",
        return_to=browser.HOME,
        on=opened,
        also_to=asked.location,
        client=asked.client,
        user=signed_in[1] if signed_in else None,
        request_query=urlencode(_without_hint(pairs, asked)),
    )


def _without_hint(pairs: Pairs, asked: LogoutRequest) -> Pairs:
    """The same request, from the same client, about whoever is signed in."""
    rest = [pair for pair in pairs if pair[0] not in ("id_token_hint", "client_id")]
    return rest + ([("client_id", asked.client.client_id)] if asked.client else [])


def _signed_out(asked: LogoutRequest) -> Response:
    response = browser.see_other(asked.location) if asked.location else browser.plain_page("signed_out.html")
    if browser.sign_in_cookie() in request.cookies:  # one that did not come may be somebody else's
        browser.forget(response)
    return response
