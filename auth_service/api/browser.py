"""What the pages share: the sign-in cookie, proof that a form is ours, and headers that keep a page to itself."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import Response, make_response, redirect, render_template, request
from sqlalchemy.orm import Session

from auth_service.api.authority import RECENTLY, authority
from auth_service.domain import redirects, replays, second_factor, sessions
from auth_service.domain.oauth.requests import Parameters
from auth_service.models import Client, SignInSession, User
from common.db import end_request_session, utcnow
from common.errors import DomainError, Forbidden, Unauthorized

DEMANDED = "demanded"
"""Our own parameter on the way back to /authorize: since when this request has asked for a sign-in."""

DEMAND_LIFE = timedelta(minutes=15)
"""For a sign-in with all its steps; who takes longer signs in again."""

HOME = "/"
RETURNS = ("/authorize?", "/account/device?")
OWN_PAGES = frozenset({"/account", "/account/security", "/account/devices", "/account/apps", "/account/password"})
MAX_RETURN = 8000


class ForeignForm(Forbidden):
    """The form was not made by us for this browser, or its cookie is gone."""

    code = "form_expired"


class NotSignedIn(Unauthorized):
    """The page is for who is signed in, or has been lately: sign in, and come back to `path`."""

    def __init__(self, path: str) -> None:
        super().__init__("Sign in first.")
        self.path = path


class FactorNeeded(NotSignedIn):
    """The page changes what the account is proved by: show the second factor that it has, and come back to `path`."""


def cookie_name(name: str) -> str:
    return f"__Host-{name}" if authority.config.is_https else name


def sign_in_cookie() -> str:
    return cookie_name("sign_in")


def form_cookie() -> str:
    return cookie_name("form")


def keep(response: Response, name: str, value: str, life: timedelta) -> None:
    """A cookie of a sign-in that is under way."""
    _set_cookie(response, cookie_name(name), value, max_age=int(life.total_seconds()))


def require_signed_in(on: Session, path: str, *, recently: bool = False) -> tuple[SignInSession, User]:
    """Who looks at the page `path`; `recently`: by the strongest that the account has. Raises NotSignedIn."""
    current = signed_in(on)
    if current is None or (recently and utcnow() - current[0].authenticated_at > RECENTLY):
        raise NotSignedIn(path)
    if recently and "mfa" not in current[0].amr and second_factor.has_any(on, current[1].id):
        raise FactorNeeded(path)
    sessions.touch(on, current[0].id)
    return current


def signed_in(on: Session) -> tuple[SignInSession, User] | None:
    return sessions.resume(on, request.cookies.get(sign_in_cookie()))


def remember(response: Response, cookie: str) -> None:
    life = int(authority.config.sign_in_life.total_seconds())
    _set_cookie(response, sign_in_cookie(), cookie, max_age=life)


def forget(response: Response) -> None:
    _set_cookie(response, sign_in_cookie(), "", max_age=0)


def page(
    template: str,
    *,
    on: Session,
    return_to: str,
    status: int = 200,
    also_to: str | None = None,
    scripts: bool = False,
    **values: Any,
) -> Response:
    """A page with its form's proof. `return_to` is where it leads, and a form must be allowed to lead there.

    So it must to `also_to`, the verified address of a client.
    """
    nonce = request.cookies.get(form_cookie()) or secrets.token_urlsafe(18)
    values |= {"form_proof": _proof(nonce), "return_to": return_to}
    response = make_response(render_template(f"account/{template}", **values), status)
    if form_cookie() not in request.cookies:
        _set_cookie(response, form_cookie(), nonce)
    target = redirects.form_target(also_to) if also_to else _form_target(on, return_to)
    return protect(response, target, scripts=scripts)


def protect(response: Response, form_target: str = "", *, scripts: bool = False) -> Response:
    """No scripts but, where needed, our own files; no frames, no cache, no address passed on."""
    policy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    if scripts:
        policy += "; script-src 'self'; connect-src 'self'"
    response.headers["Content-Security-Policy"] = f"{policy}; form-action 'self' {form_target}".strip()
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "no-store"
    return response


def see_other(location: str) -> Response:
    """A redirect after which the browser asks with GET, whatever it did before (RFC 9700 section 4.12)."""
    response = redirect(location, 303)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response  # type: ignore[return-value]


def require_own_form() -> None:
    """Raises ForeignForm unless the form carries the proof that belongs to this browser's cookie."""
    nonce = request.cookies.get(form_cookie(), "")
    shown = request.form.get("form_proof", "")
    if not nonce or not hmac.compare_digest(_proof(nonce).encode(), shown.encode("utf-8", "replace")):
        raise ForeignForm("This form had expired. Please try again; your browser has to accept cookies.")


def safe_return(given: str | None) -> str:
    """Where to go after signing in: back to a page of ours that asked for it, or home; never to another site."""
    given = given or ""
    harmless = len(given) <= MAX_RETURN and given.isprintable() and "\\" not in given
    return given if harmless and (given.startswith(RETURNS) or given in OWN_PAGES) else HOME


def returning(pairs: Sequence[tuple[str, str]]) -> str:
    """The way back to this request, stamped with the moment at which a sign-in was demanded for it."""
    plain = urlencode([pair for pair in pairs if pair[0] != DEMANDED])
    moment = f"{time.time():.3f}"
    return f"/authorize?{plain}&{DEMANDED}={moment}.{_stamp(moment, plain)}"


def demanded_at(pairs: Sequence[tuple[str, str]]) -> float | None:
    """When a sign-in was demanded for exactly this request, if it was, and lately."""
    stamps = [value for name, value in pairs if name == DEMANDED]
    if len(stamps) != 1:
        return None
    moment, _, stamp = stamps[0].rpartition(".")
    plain = urlencode([pair for pair in pairs if pair[0] != DEMANDED])
    genuine = hmac.compare_digest(_stamp(moment, plain).encode(), stamp.encode("utf-8", "replace"))
    return float(moment) if genuine and time.time() - float(moment) < DEMAND_LIFE.total_seconds() else None


def use_up_demand(on: Session, pairs: Sequence[tuple[str, str]]) -> bool:
    """Whether the sign-in that was demanded for this request has not given a code yet: one gives one."""
    moment = demanded_at(pairs)
    stamp = next((value for name, value in pairs if name == DEMANDED), "")
    return moment is not None and replays.spend(on, "demand", stamp, moment + DEMAND_LIFE.total_seconds())


def query(return_to: str) -> str:
    return urlencode({"return_to": return_to})


def sign_in_first(error: NotSignedIn) -> Response:
    end_request_session(commit=False)
    page = "step-up" if isinstance(error, FactorNeeded) else "sign-in"
    return see_other(f"/account/{page}?{query(error.path)}")


def refused(error: DomainError) -> Response:
    """A refusal as a page; one that counts is committed as in the JSON API."""
    end_request_session(commit=error.keeps_changes)
    return error_page(error.status, str(error.detail))


def error_page(status: int, message: str) -> Response:
    return plain_page("error.html", status=status, message=message)


def plain_page(template: str, *, status: int = 200, **values: Any) -> Response:
    """A page that only tells something."""
    return protect(make_response(render_template(f"account/{template}", **values), status))


def _stamp(moment: str, plain: str) -> str:
    return authority.vault.mac("sign-in demanded", f"{moment} {plain}")


def _proof(nonce: str) -> str:
    """Bound to the sign-in as well, so that a proof from before it is worth nothing after."""
    return authority.vault.mac("form", f"{nonce} {request.cookies.get(sign_in_cookie(), '')}")


def _form_target(on: Session, return_to: str) -> str:
    """The client's own address: Chromium applies form-action to redirects after the form as well."""
    query = urlsplit(return_to).query
    if not query:
        return ""
    parameters = Parameters(parse_qsl(query, keep_blank_values=True))
    client = on.get(Client, parameters.get("client_id") or "") if not parameters.has_nul else None
    if client is None:
        return ""
    uri = parameters.get("redirect_uri")
    if uri is None:  # left out, or in a pushed request: whatever it is, it is registered
        return " ".join(sorted({redirects.form_target(each) for each in client.redirect_uris}))
    return redirects.form_target(uri) if redirects.matches(uri, client.redirect_uris) else ""


def _set_cookie(response: Response, name: str, value: str, max_age: int | None = None) -> None:
    secure = authority.config.is_https
    response.set_cookie(name, value, max_age=max_age, path="/", secure=secure, httponly=True, samesite="Lax")
