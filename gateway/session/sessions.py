"""A browser's session: what its cookie holds, and the token that its requests are sent on with."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from typing import Any

import jwt
import orjson

from common.auth import Principal, TokenVerifier
from common.errors import DomainError, Forbidden, Unauthorized, Unavailable
from common.telemetry import get_logger
from gateway.problems import Fields
from gateway.session import cookies
from gateway.session.cookies import Cookies
from gateway.session.portals import BY_NAME, Portal
from gateway.session.provider import Provider, Refused
from gateway.session.sealing import Sealer, Unreadable

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LONGEST_COOKIE = 4000
"""Name and value; browsers drop what has more than 4096 bytes."""
LONGEST_WITH_ID_TOKEN = 3000
"""Two portals' cookies, and those of a few sign-ins under way, have to fit into a header field of 8,190 bytes."""
REFRESH_BEFORE_SECONDS = 30.0
REMEMBERED_SECONDS = 60.0
MOST_REMEMBERED = 10_000
LONGEST_REFRESH_SECONDS = 15.0

log = get_logger(__name__)


class SessionEnded(Unauthorized):
    code = "session_ended"

    def __init__(self) -> None:
        super().__init__("Your session has ended. Sign in again.", error="invalid_token")


class CsrfRefused(Forbidden):
    """The request does not show that a page of the session's own portal made it."""

    code = "csrf"


@dataclass(frozen=True, slots=True)
class Session:
    """`refresh_at` is when its access token is exchanged, `expires_at` when nothing can be: both in Unix time."""

    portal: str
    access_token: str
    refresh_token: str
    id_token: str
    email: str
    csrf: str
    refresh_at: float
    access_expires_at: float
    expires_at: float

    @classmethod
    def begin(cls, portal: Portal, answer: dict[str, Any]) -> Session:
        """From a token response (RFC 6749 section 5.1)."""
        csrf = secrets.token_urlsafe(24)
        return cls(portal.name, "", "", "", "", csrf, 0.0, 0.0, 0.0).renewed(answer)

    def renewed(self, answer: dict[str, Any]) -> Session:
        now, life = time.time(), float(answer["expires_in"])
        id_token = str(answer.get("id_token", self.id_token))
        return replace(
            self,
            access_token=str(answer["access_token"]),
            refresh_token=str(answer["refresh_token"]),
            id_token=id_token,
            email=str(_claims(id_token).get("email", self.email)) if id_token else self.email,
            refresh_at=now + life - min(REFRESH_BEFORE_SECONDS, life / 4),
            access_expires_at=now + life,
            expires_at=now + float(answer.get("refresh_token_expires_in", life)),
        )

    def claims(self) -> dict[str, Any]:
        """Of the access token."""
        return _claims(self.access_token)


def _claims(token: str) -> dict[str, Any]:
    """Of a token that its issuer handed to us, and that was nowhere since but with us and sealed."""
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


class Sessions:
    """Opens, renews and closes sessions. `origin` is the store's own."""

    def __init__(self, sealer: Sealer, jar: Cookies, provider: Provider, verifier: TokenVerifier, origin: str) -> None:
        self.jar = jar
        self._sealer = sealer
        self._provider = provider
        self._verifier = verifier
        self._origin = origin
        self._scheme = origin.partition("://")[0]
        self._refreshes = Refreshes(self._exchange)

    def put(self, session: Session) -> tuple[str, str]:
        """The header field that keeps it in the browser. Raises ValueError for one that no browser would keep."""
        name = self.jar.session(session.portal)
        without = replace(session, id_token="")  # then the provider asks before it signs somebody out
        for kept, most in ((session, LONGEST_WITH_ID_TOKEN), (without, LONGEST_COOKIE)):
            sealed = self._sealer.seal(name, orjson.dumps(list(asdict(kept).values())))
            if len(name) + len(sealed) <= most:
                return self.jar.set(name, sealed, max(1, int(session.expires_at - time.time())))
        raise ValueError("the tokens do not fit into a cookie")

    def find(self, environ: dict[str, Any], portal: Portal) -> Session | None:
        """What the browser brought. Raises SessionEnded for a cookie that is none of ours, or no more."""
        name = self.jar.session(portal.name)
        given = cookies.values(environ, name)
        for sealed in given:
            session = self._opened(name, sealed)
            if session is not None:
                return session
        if given:
            raise SessionEnded
        return None

    def _opened(self, name: str, sealed: str) -> Session | None:
        try:
            session = Session(*orjson.loads(self._sealer.open(name, sealed)))
        except (Unreadable, orjson.JSONDecodeError, TypeError):
            return None
        return session if session.expires_at > time.time() else None

    def bearer(self, environ: dict[str, Any], portal: Portal, answered: Fields) -> str | None:
        """The token for a request that has a session, None where it has none.

        `answered` is given what the answer has to tell the browser about its cookie. Raises SessionEnded, CsrfRefused,
        and Unavailable when a token must be renewed and cannot be.
        """
        try:
            session = self.find(environ, portal)
            if session is None or not self._is_ours(environ, session):
                return None
            session, _ = self.current(session, answered)
        except SessionEnded:
            raise self.ended(portal, answered) from None
        return session.access_token

    def ended(self, portal: Portal, answered: Fields) -> SessionEnded:
        """Said once: the answer takes the cookie away."""
        answered[:] = [self.jar.clear(self.jar.session(portal.name))]
        return SessionEnded()

    def current(self, session: Session, answered: Fields) -> tuple[Session, Principal]:
        """The session with a token that is good now, and whom it is about. Raises SessionEnded or Unavailable."""
        try:
            renewed, principal = self._verified(self._in_time(session))
        except (Refused, Unauthorized):
            raise SessionEnded from None
        if renewed is not session:
            answered.append(self.put(renewed))
        return renewed, principal

    def _verified(self, session: Session) -> tuple[Session, Principal]:
        """One whose token is not accepted though nobody revoked it (its key was withdrawn, say) gets another."""
        try:
            return session, self._verifier.verify(session.access_token)
        except Unauthorized:
            if self._verifier.is_revoked(session.claims()):
                raise
        renewed = self._refreshes.of(session)
        return renewed, self._verifier.verify(renewed.access_token)

    def _in_time(self, session: Session) -> Session:
        """Exchanged, when its token is about to expire. Raises Refused; and Unavailable once it has expired."""
        now = time.time()
        while session.refresh_at <= now:
            try:
                session = self._refreshes.of(session)
            except Unavailable:
                if session.access_expires_at <= now:
                    raise
                return session
        return session

    def _exchange(self, session: Session) -> Session:
        return session.renewed(self._provider.refresh(BY_NAME[session.portal], session.refresh_token))

    def _is_ours(self, environ: dict[str, Any], session: Session) -> bool:
        """Whether to count the cookie of a read, which one of another origin's pages may have sent.

        Raises CsrfRefused for a write.
        """
        if environ["REQUEST_METHOD"] not in SAFE_METHODS:
            self.require_own_page(environ, session)
            return True
        origin = environ.get("HTTP_ORIGIN")
        return origin is None or self._is_own_origin(origin, environ)

    def require_own_page(self, environ: dict[str, Any], session: Session) -> None:
        """Raises CsrfRefused."""
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None and not self._is_own_origin(origin, environ):
            raise CsrfRefused("The request comes from a page of another origin.")
        if environ.get("HTTP_SEC_FETCH_SITE", "same-origin") != "same-origin":
            raise CsrfRefused("The request comes from a page of another site.")
        shown = environ.get("HTTP_X_CSRF_TOKEN", "")
        if not hmac.compare_digest(shown.encode("latin-1", "replace"), session.csrf.encode()):
            raise CsrfRefused("Send the session's token as X-CSRF-Token; GET /bff/session tells it.")

    def _is_own_origin(self, origin: str, environ: dict[str, Any]) -> bool:
        return origin in (self._origin, f"{self._scheme}://{environ.get('HTTP_HOST', '')}")


class Refreshes:
    """One refresh for all who come with the same refresh token, also for those who come a little later.

    Replicas do not share this: there it is the provider that gives the same successor to all who ask within its grace.
    """

    def __init__(self, exchange: Callable[[Session], Session]) -> None:
        self._exchange = exchange
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[float, Future[Session]]] = OrderedDict()

    def of(self, session: Session) -> Session:
        """The session with new tokens. Raises Refused or Unavailable."""
        key, now = session.refresh_token, time.monotonic()
        with self._lock:
            self._forget_old(now)
            known = self._known.get(key)
            if known is None:
                future: Future[Session] = Future()
                self._known[key] = now, future
        if known is None:
            self._run(key, session, future)
        else:
            future = known[1]
        try:
            return future.result(LONGEST_REFRESH_SECONDS)
        except TimeoutError:
            raise Unavailable("The sign-in service does not answer.") from None

    def _run(self, key: str, session: Session, future: Future[Session]) -> None:
        try:
            future.set_result(self._exchange(session))
        except BaseException as error:
            with self._lock:
                self._known.pop(key, None)  # whoever asks next asks the provider
            future.set_exception(error)
            if not isinstance(error, Refused | DomainError):
                raise

    def _forget_old(self, now: float) -> None:
        while self._known:
            since, future = next(iter(self._known.values()))
            is_old = now - since > REMEMBERED_SECONDS and future.done()
            if not is_old and len(self._known) <= MOST_REMEMBERED:
                return
            self._known.popitem(last=False)
