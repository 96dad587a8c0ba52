"""/account/security: the second factor, passkeys and connected accounts; and signing in by the first two."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
from flask import Blueprint, Response, request
from markupsafe import Markup

from auth_service import federation
from auth_service.api import browser, entering, proving
from auth_service.api.authority import authority
from auth_service.api.mfa import qr_code, site
from auth_service.api.pages import again, problems_of, text
from auth_service.domain import accounts, identities, letters, passkeys, second_factor, sessions, tickets
from auth_service.domain.throttle import SignInThrottled
from common.auth import public
from common.db import session
from common.errors import Conflict, DomainError, Invalid, NotFound, Unavailable

api = Blueprint("security_pages", __name__, url_prefix="/account", template_folder="../templates")
HERE = "/account/security"
CODE_REFUSALS = (browser.ForeignForm, second_factor.WrongCode, SignInThrottled, Unavailable)
PASSKEY_REFUSALS = (browser.ForeignForm, passkeys.BadPasskey, passkeys.UnknownPasskey, entering.EmailUnverified)


@api.get("/security")
@public
def security() -> Response:
    _, user = browser.require_signed_in(session, HERE, recently=True)
    linked = identities.of(session, user.id)
    return browser.page(
        "security.html",
        on=session,
        return_to=HERE,
        scripts=True,
        user=user,
        enrolled=second_factor.is_enrolled(session, user.id),
        codes_left=second_factor.recovery_codes_left(session, user),
        passkeys=passkeys.of(session, user.id),
        identities=linked,
        providers={each: identities.NAMES[each] for each in federation.offered(authority.config)},
        names=identities.NAMES,
    )


@api.post("/security/totp")
@public
def enrol() -> Response:
    _, user = browser.require_signed_in(session, HERE, recently=True)
    browser.require_own_form()
    return _totp_form(second_factor.enrol(session, authority.vault, user))


@api.post("/security/totp/confirm")
@public
def confirm() -> Response:
    current, user = browser.require_signed_in(session, HERE, recently=True)
    try:
        browser.require_own_form()
        codes = second_factor.confirm(session, authority.vault, user, text("code"), current=current)
    except (browser.ForeignForm, Invalid) as error:
        secret = second_factor.pending(session, authority.vault, user)
        return again(error, _totp_form(secret, error)) if secret else browser.see_other(HERE)
    return _recovery_codes(codes)


@api.post("/security/totp/remove")
@public
def remove() -> Response:
    _, user = browser.require_signed_in(session, HERE, recently=True)
    browser.require_own_form()
    second_factor.remove(session, user)
    return browser.see_other(HERE)


@api.post("/security/recovery-codes")
@public
def renew_recovery_codes() -> Response:
    _, user = browser.require_signed_in(session, HERE, recently=True)
    browser.require_own_form()
    if not second_factor.is_enrolled(session, user.id):
        raise second_factor.NotEnrolled("No authenticator app is set up.")
    codes = second_factor.renew_recovery_codes(session, user)
    letters.write(session, user, "recovery_codes_renewed")
    return _recovery_codes(codes)


@api.post("/security/passkeys/options")
@public
def passkey_options() -> Response:
    _, user = browser.require_signed_in(session, HERE, recently=True)
    browser.require_own_form()
    return _ceremony(passkeys.begin_registration(session, site(), user))


@api.post("/security/passkeys")
@public
def add_passkey() -> Response:
    current, user = browser.require_signed_in(session, HERE, recently=True)
    browser.require_own_form()
    passkeys.finish_registration(session, site(), user, ticket=text("ticket"), answer=_answer(), name=text("name"))
    sessions.strengthen(session, current, passkeys.AMR)
    return browser.see_other(HERE)


@api.post("/security/passkeys/<uuid:passkey_id>/remove")
@public
def remove_passkey(passkey_id: UUID) -> Response:
    _, user = browser.require_signed_in(session, HERE, recently=True)
    browser.require_own_form()
    passkeys.remove(session, user, passkey_id)
    return browser.see_other(HERE)


@api.post("/security/identities/remove")
@public
def unlink() -> Response:
    _, user = browser.require_signed_in(session, HERE, recently=True)
    browser.require_own_form()
    identities.unlink(session, user, text("provider"), text("subject"))
    return browser.see_other(HERE)


@api.get("/step-up")
@public
def step_up() -> Response:
    """Ask who is signed in for the second factor, now; without one, to set it up."""
    return_to = browser.safe_return(request.args.get("return_to"))
    _, user = browser.require_signed_in(session, return_to)
    if not second_factor.has_any(session, user.id):
        return browser.see_other(HERE)
    page = "second-factor" if second_factor.is_enrolled(session, user.id) else "passkey"
    return browser.see_other(f"/account/{page}?{browser.query(return_to)}")


@api.get("/second-factor")
@public
def second_factor_page() -> Response:
    return _code_form(browser.safe_return(request.args.get("return_to")))


@api.post("/second-factor")
@public
def submit_second_factor() -> Response:
    return_to = browser.safe_return(request.form.get("return_to"))
    found = entering.waiting()
    current = browser.signed_in(session) if found is None else None
    if found is None and current is None:
        return browser.see_other(f"/account/sign-in?{browser.query(return_to)}")
    user = found[1] if found else current[1]  # type: ignore[index]
    first = found[0].data["amr"] if found else current[0].amr  # type: ignore[index]
    try:
        browser.require_own_form()
        code = proving.shown(user, text("code"))
        if found and not entering.may_still_enter(user):
            return browser.see_other(f"/account/sign-in?{browser.query(return_to)}")
        throttled = authority.config.rate_limits_enabled
        second_factor.check(session, authority.vault, user, code, throttled=throttled)
    except CODE_REFUSALS as error:
        return again(error, _code_form(return_to, error))
    tickets.void(session, tickets.SECOND_FACTOR, user.id)
    return entering.let_in(session, user, return_to, sorted({*first, *second_factor.AMR}))


@api.get("/passkey")
@public
def passkey_page() -> Response:
    return _passkey_form(browser.safe_return(request.args.get("return_to")))


@api.post("/passkey/options")
@public
def passkey_sign_in_options() -> Response:
    browser.require_own_form()
    return _ceremony(passkeys.begin_sign_in(session, site()))


@api.post("/passkey")
@public
def submit_passkey() -> Response:
    return_to = browser.safe_return(request.form.get("return_to"))
    try:
        browser.require_own_form()
        user = passkeys.finish_sign_in(session, site(), ticket=text("ticket"), answer=_answer())
        return entering.enter(session, user, return_to, passkeys.AMR)
    except PASSKEY_REFUSALS as error:
        return again(error, _passkey_form(return_to, error))


@api.errorhandler(browser.NotSignedIn)
def to_sign_in(error: browser.NotSignedIn) -> Response:
    return browser.sign_in_first(error)


@api.errorhandler(browser.ForeignForm)
@api.errorhandler(passkeys.BadPasskey)
@api.errorhandler(Conflict)
@api.errorhandler(NotFound)
@api.errorhandler(Invalid)
@api.errorhandler(SignInThrottled)
@api.errorhandler(Unavailable)
@api.errorhandler(accounts.WrongCredentials)
def refused(error: DomainError) -> Response:
    return browser.refused(error)


def _answer() -> str:
    return request.form.get("credential", "").replace("\x00", "")[:20_000]


def _ceremony(ceremony: passkeys.Ceremony) -> Response:
    body = orjson.dumps({"options": orjson.loads(ceremony.options), "ticket": ceremony.ticket})
    return browser.protect(Response(body, mimetype="application/json"))


def _totp_form(secret: str, refusal: DomainError | None = None) -> Response:
    _, user = browser.require_signed_in(session, HERE)
    return browser.page(
        "totp.html",
        status=refusal.status if refusal else 200,
        on=session,
        return_to=HERE,
        secret=" ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
        qr=Markup(qr_code(second_factor.address_of(user, secret))),  # noqa: S704 - an image that we made
        problems=problems_of(refusal),
    )


def _recovery_codes(codes: list[str]) -> Response:
    return browser.page("recovery_codes.html", on=session, return_to=HERE, codes=codes)


def _code_form(return_to: str, refusal: DomainError | None = None) -> Response:
    return _page("second_factor.html", return_to, refusal, has_passkey=_has_passkey())


def _has_passkey() -> bool:
    found = entering.waiting() or browser.signed_in(session)
    return bool(found and passkeys.of(session, found[1].id))


def _passkey_form(return_to: str, refusal: DomainError | None = None) -> Response:
    return _page("passkey.html", return_to, refusal, scripts=True)


def _page(template: str, return_to: str, refusal: DomainError | None, **values: Any) -> Response:
    return browser.page(
        template,
        status=refusal.status if refusal else 200,
        on=session,
        return_to=return_to,
        message=refusal.detail if refusal else None,
        query=browser.query(return_to),
        **values,
    )
