"""What the portals ask about their session: /bff/login, /bff/callback, /bff/session and /bff/logout."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal
from urllib.parse import urlencode

from flask import Blueprint, Response, jsonify, redirect, render_template, request
from pydantic import AwareDatetime, Field

from common.api import Response as Schema
from common.api import returns
from common.auth import foreign_credentials
from common.errors import Unavailable
from common.telemetry import get_logger
from gateway.problems import Fields
from gateway.session import portals
from gateway.session.login import FlowLost, Login
from gateway.session.portals import BY_NAME
from gateway.session.provider import Provider, Refused
from gateway.session.sessions import Session, SessionEnded, Sessions

PAGE_POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"

log = get_logger(__name__)


class Person(Schema):
    id: str
    name: str
    email: str = Field(description="empty when it is not known")
    role: str


class SignedIn(Schema):
    authenticated: Literal[True] = True
    user: Person
    scopes: list[str]
    csrf: str = Field(description="what every write sends as X-CSRF-Token; stays the same while the session lasts")
    expires_at: AwareDatetime = Field(description="when it ends at the latest")


class SignedOut(Schema):
    authenticated: Literal[False] = False


class Ended(Schema):
    end_session_url: str = Field(description="where to go to sign out of the whole store, on this device")


def session_blueprint(bff: Bff) -> Blueprint:
    blueprint = Blueprint("bff", __name__, url_prefix="/bff")
    blueprint.after_request(_uncached)

    @blueprint.get("/login")
    @foreign_credentials
    @returns(
        None, 302, description="To the sign-in page; come back to ?return_to=, with a second factor if ?step_up=true"
    )
    def login() -> Response:
        """Sign in: an address for a browser to go to, not for a script."""
        return bff.begin()

    @blueprint.get("/callback")
    @foreign_credentials
    @returns(None, 303, description="To where the sign-in began; a page that offers to sign in again is 400")
    def callback() -> Response:
        """Where the sign-in page sends a browser back to."""
        return bff.finish()

    @blueprint.get("/session")
    @foreign_credentials
    @returns(SignedIn | SignedOut)
    def session() -> Response:
        """Who is signed in at the portal that asks (X-Portal, or by its Referer)."""
        return bff.show()

    @blueprint.post("/logout")
    @foreign_credentials
    @returns(Ended)
    def logout() -> Response:
        """Sign out of this portal on this device; needs X-CSRF-Token."""
        return bff.end()

    return blueprint


class Bff:
    def __init__(self, sessions: Sessions, login: Login, provider: Provider, public_url: str) -> None:
        self._sessions = sessions
        self._login = login
        self._provider = provider
        self._public_url = public_url

    def begin(self) -> Response:
        """Sign in, and come back to `return_to`."""
        answered: Fields = []
        return_to = request.args.get("return_to", "/")
        step_up = request.args.get("step_up") == "true"
        try:
            location = self._login.begin(request.environ, return_to, answered, step_up=step_up)
        except (Refused, Unavailable):
            log.warning("sign_in_not_begun")
            return _page("unavailable.html", 503, return_to)
        return _telling(redirect(location, 302), answered)  # type: ignore[arg-type]

    def finish(self) -> Response:
        """Where the provider sends the browser back to."""
        answered: Fields = []
        try:
            session, return_to = self._login.finish(request.environ, request.args.to_dict(), answered)
        except FlowLost as lost:
            log.info("sign_in_not_finished", reason=str(lost)[:40])
            return _telling(_page("again.html", 400, lost.return_to), answered)
        except Unavailable:
            return _page("unavailable.html", 503, "/")
        self._end_replaced(session)
        answered.append(self._sessions.put(session))
        return _telling(redirect(return_to, 303), answered)  # type: ignore[arg-type]

    def _end_replaced(self, session: Session) -> None:
        """A session that this one takes the place of would be nobody's."""
        portal = BY_NAME[session.portal]
        try:
            old = self._sessions.find(request.environ, portal)
            if old is not None:
                self._provider.revoke(portal, old.refresh_token)
        except (SessionEnded, Refused, Unavailable):
            log.info("replaced_session_not_revoked")

    def show(self) -> Response:
        """Who is signed in at the portal that asks."""
        portal = portals.of_request(request.environ, request.path)
        answered: Fields = []
        told: SignedIn | SignedOut
        try:
            session = self._sessions.find(request.environ, portal)
            told = self._told(session, answered) if session else SignedOut()
        except SessionEnded:
            answered.append(self._sessions.jar.clear(self._sessions.jar.session(portal.name)))
            told = SignedOut()
        return _telling(jsonify(told), answered)

    def _told(self, session: Session, answered: Fields) -> SignedIn:
        try:
            session, _ = self._sessions.current(session, answered)
        except Unavailable:
            log.info("session_told_as_it_was")
        return told(session)

    def end(self) -> Response:
        """Sign out of this portal on this device."""
        portal = portals.of_request(request.environ, request.path)
        jar = self._sessions.jar
        query = {"client_id": portal.client_id, "post_logout_redirect_uri": self._public_url + portal.home}
        try:
            session = self._sessions.find(request.environ, portal)
        except SessionEnded:
            session = None
        if session is not None:
            self._sessions.require_own_page(request.environ, session)
            self._revoke(session)
            query |= {"id_token_hint": session.id_token} if session.id_token else {}
        answer = jsonify(Ended(end_session_url=f"{self._public_url}/logout?{urlencode(query)}"))
        return _telling(answer, [jar.clear(jar.session(portal.name))])

    def _revoke(self, session: Session) -> None:
        """Raises Unavailable, and the session stays: only the provider can end it for whoever has a copy."""
        try:
            self._provider.revoke(BY_NAME[session.portal], session.refresh_token)
        except Refused:
            log.info("session_had_ended")


def told(session: Session) -> SignedIn:
    claims = session.claims()
    who = {"id": claims["sub"], "name": claims["preferred_username"], "role": claims["role"]}
    return SignedIn(
        user=Person(**who, email=session.email),
        scopes=str(claims["scope"]).split(),
        csrf=session.csrf,
        expires_at=datetime.fromtimestamp(int(session.expires_at), UTC),
    )


def _page(template: str, status: int, return_to: str) -> Response:
    """For a person who came by a link: an explanation, and a way on that is theirs to take."""
    answer = Response(render_template(f"bff/{template}", return_to=return_to), status)
    answer.headers["Content-Security-Policy"] = PAGE_POLICY
    if status == 503:
        answer.headers["Retry-After"] = "1"
    return answer


def _telling(answer: Response, fields: Fields) -> Response:
    for name, value in fields:
        answer.headers.add(name, value)
    return answer


def _uncached(answer: Response) -> Response:
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Vary"] = "Cookie"
    return answer
