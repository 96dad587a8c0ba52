"""What the portals ask about their session: /bff/login, /bff/callback, /bff/session and /bff/logout."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, jsonify, redirect, render_template, request

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


def session_blueprint(bff: Bff) -> Blueprint:
    blueprint = Blueprint("bff", __name__, url_prefix="/bff")
    blueprint.after_request(_uncached)

    @blueprint.get("/login")
    @foreign_credentials
    def login() -> Response:
        return bff.begin()

    @blueprint.get("/callback")
    @foreign_credentials
    def callback() -> Response:
        return bff.finish()

    @blueprint.get("/session")
    @foreign_credentials
    def session() -> Response:
        return bff.show()

    @blueprint.post("/logout")
    @foreign_credentials
    def logout() -> Response:
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
        try:
            session = self._sessions.find(request.environ, portal)
            told = self._told(session, answered) if session else {"authenticated": False}
        except SessionEnded:
            answered.append(self._sessions.jar.clear(self._sessions.jar.session(portal.name)))
            told = {"authenticated": False}
        return _telling(jsonify(told), answered)

    def _told(self, session: Session, answered: Fields) -> dict[str, Any]:
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
        answer = jsonify({"end_session_url": f"{self._public_url}/logout?{urlencode(query)}"})
        return _telling(answer, [jar.clear(jar.session(portal.name))])

    def _revoke(self, session: Session) -> None:
        """Raises Unavailable, and the session stays: only the provider can end it for whoever has a copy."""
        try:
            self._provider.revoke(BY_NAME[session.portal], session.refresh_token)
        except Refused:
            log.info("session_had_ended")


def told(session: Session) -> dict[str, Any]:
    claims = session.claims()
    user = {"id": claims["sub"], "name": claims.get("preferred_username"), "email": session.email}
    return {
        "authenticated": True,
        "user": user | {"role": claims.get("role")},
        "scopes": str(claims.get("scope", "")).split(),
        "csrf": session.csrf,
        "expires_at": _rfc3339(session.expires_at),
    }


def _rfc3339(unix: float) -> str:
    return datetime.fromtimestamp(int(unix), UTC).isoformat().replace("+00:00", "Z")


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
