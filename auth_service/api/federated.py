"""/api/v1/auth/google and /github: signing in by an account at another provider, and connecting one."""

from __future__ import annotations

import hmac
from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, request

from auth_service import federation
from auth_service.api import browser, entering
from auth_service.api.authority import authority
from auth_service.domain import identities, tickets
from auth_service.domain.identities import Foreign
from common.api import known_as
from common.auth import public
from common.db import session, transaction
from common.errors import DomainError, NotFound, Unauthorized

api = Blueprint("federated", __name__, template_folder="../templates")
LIFE = timedelta(minutes=10)
AMR = ("fed",)
HERE = "/account/security"
_CANCELLED = "You came back without having signed in there."


@api.get("/api/v1/auth/<any(google, github):name>")
@public
@known_as("beginFederatedSignIn")
def begin(name: str) -> Response:
    return _send_away(name, browser.safe_return(request.args.get("return_to")), None)


@api.post("/account/security/connect/<any(google, github):name>")
@public
def connect(name: str) -> Response:
    """As `begin`, to connect the account there with the one that is signed in here."""
    _, user = browser.require_signed_in(session, HERE, recently=True)
    browser.require_own_form()
    return _send_away(name, HERE, user.id)


@api.get("/api/v1/auth/<any(google, github):name>/callback")
@public
@known_as("finishFederatedSignIn")
def come_back(name: str) -> Response:
    """The ticket is used up first, whatever comes of it; no transaction is open while the provider is asked."""
    data = _use_ticket(name)
    if "error" in request.args or not request.args.get("code"):
        raise federation.Refused(_CANCELLED)
    who = _provider(name).who(code=request.args["code"], nonce=data["nonce"], verifier=data["verifier"])
    return _link(who, UUID(data["link"])) if data["link"] else _sign_in(who, data["return_to"])


@api.errorhandler(browser.NotSignedIn)
def to_sign_in(error: browser.NotSignedIn) -> Response:
    return browser.sign_in_first(error)


@api.errorhandler(DomainError)
def refused(error: DomainError) -> Response:
    """These addresses are opened by browsers only."""
    return browser.refused(error)


def _send_away(name: str, return_to: str, link: UUID | None) -> Response:
    provider, nonce, verifier = _provider(name), federation.new_verifier(), federation.new_verifier()
    data: dict[str, Any] = {"provider": name, "nonce": nonce, "verifier": verifier, "return_to": return_to}
    with transaction() as opened:
        state = tickets.issue(opened, tickets.FEDERATION, life=LIFE, **data, link=str(link) if link else None)
    response = browser.see_other(provider.address(state=state, nonce=nonce, verifier=verifier))
    browser.keep(response, "federation", state, LIFE)
    return response


def _use_ticket(name: str) -> dict[str, str]:
    """Raises Refused unless this browser was sent away with this state, to this provider."""
    state, kept = request.args.get("state", ""), request.cookies.get(browser.cookie_name("federation"), "")
    same = hmac.compare_digest(state.encode("utf-8", "replace"), kept.encode("utf-8", "replace"))
    with transaction() as opened:
        ticket = tickets.take(opened, tickets.FEDERATION, state) if same else None
    if ticket is None or ticket.data["provider"] != name:
        raise federation.Refused("This sign-in was not begun in this browser, or took too long.")
    return dict(ticket.data)


def _sign_in(who: Foreign, return_to: str) -> Response:
    with transaction() as opened:
        return entering.enter(opened, identities.sign_in(opened, who), return_to, AMR)


def _link(who: Foreign, user_id: UUID) -> Response:
    """Only for who is still signed in here as the one who asked for it."""
    with transaction() as opened:
        current = browser.signed_in(opened)
        if current is None or current[1].id != user_id:
            raise Unauthorized("Sign in first.")
        identities.link(opened, current[1], who)
    return browser.see_other(HERE)


def _provider(name: str) -> federation.Provider:
    found = federation.provider(authority.config, name)
    if found is None:
        raise NotFound("Signing in this way is not offered here.")
    return found
