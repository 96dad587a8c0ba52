"""The way of a request: a WSGI path in front of Flask, which answers only what no service does.

Route, verify, strip, forward, and let the answer stream back.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit

from common.addresses import network_of
from common.auth import Presented, Principal, TokenVerifier
from common.errors import BadRequest, DomainError, Unauthorized
from common.metrics import observe_request
from common.telemetry import accept_request_id, bind_correlation, continue_trace, get_logger, log_request
from gateway.body import RequestBody, is_declared
from gateway.cache import Cache
from gateway.caching import Caching
from gateway.config import GatewayConfig
from gateway.headers import answer_fields, origin_fields, request_fields
from gateway.http1 import SWITCHING, ClientGone
from gateway.inflight import InFlight
from gateway.paths import routable, split_target
from gateway.problems import Fields, MethodNotAllowed, render, status_line
from gateway.ratelimit import RateLimits
from gateway.routes import LOCAL_LIMITS, Access, Route, RouteTable
from gateway.security import Cors, SecurityHeaders
from gateway.session import portals
from gateway.session.cookies import keep_private
from gateway.session.portals import Portal
from gateway.session.sessions import Sessions
from gateway.spool import Follower, Room
from gateway.tunnel import UPGRADE_FIELDS, Tunnel, Upgrades
from gateway.upstream import Answer, Forwarded, Upstream

CLIENT_SECONDS = 30.0
"""How long a client may take to accept what one write sends it."""
SHARED_WITH_ORIGINS = "/api/"
"""What the pages of CORS_ORIGINS may read: the API and its documents."""
NOTHING: Fields = [("Content-Length", "0")]
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]

log = get_logger(__name__)


class InternalError(DomainError):
    """Ours, whatever it was."""


class Gateway:
    """The WSGI application in front of `local`, which gets what the route table does not know."""

    def __init__(
        self,
        config: GatewayConfig,
        verifier: TokenVerifier,
        sessions: Sessions,
        upstreams: dict[str, Upstream],
        local: WsgiApp,
    ) -> None:
        public = urlsplit(config.public_url)
        self._origin_fields = [("X-Forwarded-Proto", public.scheme), ("X-Forwarded-Host", public.netloc)]
        self._config = config
        self._verifier = verifier
        self._sessions = sessions
        self._upstreams = upstreams
        self._local = local
        self._room = Room(config.bodies_limit)
        self._in_flight = InFlight(config.requests_per_person)
        self._caching = Caching(Cache(config.cache_bytes)) if config.cache_bytes else None
        self._limits = RateLimits(config.rate_limits, config.rate_limit_url) if config.rate_limits else None
        self._table = RouteTable()
        self._security = SecurityHeaders(config.public_url)
        self._cors = Cors(config.cors_origins)
        self._upgrades = Upgrades(config.public_url, config.cors_origins)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        request = _Request(environ)
        environ["gateway.body_unread"] = is_declared(environ)  # until it is read: an answer before that is the last one
        try:
            status, fields, body = self._answer(request)
        except DomainError as error:
            status, fields, body = render(error)
        except ClientGone:
            raise
        except Exception as error:  # the last resort: nobody may see a trace
            log.error("unexpected_error", exc_info=error)
            status, fields, body = render(InternalError("Something went wrong on our side."))
        self._finish(request, status, fields)
        start_response(status, fields)
        return body

    def _answer(self, request: _Request) -> tuple[str, Fields, Iterable[bytes]]:
        environ = request.environ
        if environ["REQUEST_METHOD"] not in METHODS:
            raise MethodNotAllowed(headers={"Allow": ", ".join(sorted(METHODS))})
        path, target = split_target(environ.get("RAW_URI") or environ["PATH_INFO"])
        request.is_shared = path.startswith(SHARED_WITH_ORIGINS)
        if environ["SERVER_PROTOCOL"] == "HTTP/1.1" and "HTTP_HOST" not in environ:
            raise BadRequest("HTTP/1.1 requests name their host.")
        route = self._table.find(routable(path))
        request.route = route.prefix if route else request.route
        if self._cors.is_preflight(environ) and not (route and route.answers_origins):
            return "204 No Content", self._cors.preflight_fields(environ) if request.is_shared else NOTHING, []
        self._let_in(request, route, path)
        if route is None:
            return self._answer_locally(request)
        if self._caching is None or route.upgrades:
            return self._forward(route, request, target, environ)
        return self._caching.answer(target, environ, partial(self._forward, route, request, target))

    def _answer_locally(self, request: _Request) -> tuple[str, Fields, Iterable[bytes]]:
        started: list[Any] = []
        request.is_local = True
        environ = request.environ
        environ["HTTP_X_REQUEST_ID"], environ["HTTP_TRACEPARENT"] = request.id, request.traceparent
        body = self._local(environ, lambda status, fields, *_: started.extend((status, fields)))
        return started[0], answer_fields(started[1]), body

    def _take_session(self, request: _Request, path: str) -> None:
        """A browser's cookie in place of a token; a token that came goes before it. Raises as Sessions.bearer."""
        environ = request.environ
        if "HTTP_COOKIE" not in environ or "HTTP_AUTHORIZATION" in environ:
            return
        portal = portals.of_request(environ, path)
        token = self._sessions.bearer(environ, portal, request.cookies)
        if token is not None:
            environ["HTTP_AUTHORIZATION"] = f"Bearer {token}"
            request.portal = portal

    def _let_in(self, request: _Request, route: Route | None, path: str) -> None:
        """Raises Unauthorized, CsrfRefused or TooManyRequests; bad credentials are counted by address."""
        environ, principal = request.environ, None
        limit = route.limit(environ["REQUEST_METHOD"]) if route else LOCAL_LIMITS.get(path)
        try:
            if route is not None and route.takes_session:
                self._take_session(request, path)
            principal = self._authorise(route.access if route else Access.PUBLIC, environ, path)
        finally:
            request.person = principal.subject if principal and principal.is_user else None
            if limit is not None and self._limits is not None:
                address = network_of(self._client_address(environ))
                self._limits.count(limit, principal.subject if principal else address, request.told)

    def _authorise(self, access: Access, environ: Environ, path: str) -> Principal | None:
        """Raises Unauthorized. The service will verify again, and knows about scopes."""
        if access is Access.FOREIGN:
            return None
        method, url = environ["REQUEST_METHOD"], self._config.public_url + path
        presented = Presented(environ.get("HTTP_AUTHORIZATION"), environ.get("HTTP_DPOP"), method, url)
        principal = self._verifier.authenticate(presented)
        if principal is None and access.needs_token(method):
            raise Unauthorized("Sign in first.")
        return principal

    def _forward(
        self, route: Route, request: _Request, target: str, environ: Environ
    ) -> tuple[str, Fields, Iterable[bytes]]:
        """`environ` is the request's, or has less of it: what is fetched for everybody is nobody's."""
        body = RequestBody(environ, self._config.body_limits[route.takes], self._config.patience, self._room)
        try:
            forwarded = self._forwarded(request, target, body, environ)
            if route.upgrades and self._upgrades.is_asked_for(environ):
                forwarded.may_switch = True
                forwarded.fields += UPGRADE_FIELDS
            with self._in_flight.one_of(request.person):
                answer = self._upstreams[route.service].send(forwarded)
        finally:
            body.close()
        if request.portal is not None and _refuses_token(answer):
            answer.close()
            raise self._sessions.ended(request.portal, request.cookies)
        if answer.head.status == SWITCHING:
            return self._tunnelled(answer, environ)
        status, fields, blocks = self._passed_on(answer)
        if route.answers_origins:
            fields += origin_fields(answer.head.fields)
        return status, fields, blocks

    def _forwarded(self, request: _Request, target: str, body: RequestBody, environ: Environ) -> Forwarded:
        self._sessions.jar.strip(environ)
        fields = request_fields(environ)
        fields += body.fields
        fields += self._origin_fields
        fields += [
            ("X-Forwarded-For", self._client_address(environ)),
            ("X-Request-ID", request.id),
            ("traceparent", request.traceparent),
        ]
        return Forwarded(
            environ["REQUEST_METHOD"],
            target,
            fields,
            body.first,
            body.rest,
            environ.get("gunicorn.socket"),
            is_idempotent="HTTP_IDEMPOTENCY_KEY" in environ,
        )

    def _passed_on(self, answer: Answer) -> tuple[str, Fields, Iterable[bytes]]:
        """A stream goes at its client's pace, and its service has room for that; anything else at the service's."""
        line = status_line(answer.head.status, answer.head.reason)
        fields = answer_fields(answer.head.fields)
        if answer.is_whole or is_event_stream(fields):
            return line, fields, cast(Iterable[bytes], answer)
        patience = self._config.patience
        return line, fields, Follower(answer, self._room, grace=CLIENT_SECONDS, least_speed=patience.least_speed)

    def _tunnelled(self, answer: Answer, environ: Environ) -> tuple[str, Fields, Iterable[bytes]]:
        """The one answer after which bytes are no longer looked at."""
        tunnel = Tunnel(environ["gunicorn.socket"], *answer.hand_over(), self._config.timeouts.idle)
        fields = answer_fields(answer.head.fields) + UPGRADE_FIELDS
        return status_line(SWITCHING), fields, tunnel.carry(environ["gateway.read_ahead"])

    def _client_address(self, environ: Environ) -> str:
        """The nearest address that is not a proxy we trust."""
        address = str(environ["REMOTE_ADDR"])
        if not self._config.trusted_proxies:
            return address
        hops = environ.get("HTTP_X_FORWARDED_FOR", "").split(",")
        while hops and self._is_trusted(address) and _parsed(hop := hops.pop().strip()):
            address = hop
        return address

    def _is_trusted(self, address: str) -> bool:
        parsed = _parsed(address)
        return parsed is not None and any(parsed in network for network in self._config.trusted_proxies)

    def _finish(self, request: _Request, status: str, fields: Fields) -> None:
        fields.append(("X-Request-ID", request.id))
        fields += request.told
        if request.cookies:
            keep_private(fields)
            fields += request.cookies
        self._security.point_to_metadata(fields)
        self._security.add(fields)
        if request.is_shared:
            self._cors.add(request.environ, fields)
        if not request.is_local:
            request.record(int(status[:3]))


class _Request:
    """One request's identifiers, and what is noted about it at its end."""

    __slots__ = (
        "cookies",
        "environ",
        "id",
        "is_local",
        "is_shared",
        "person",
        "portal",
        "route",
        "started",
        "told",
        "traceparent",
    )

    def __init__(self, environ: Environ) -> None:
        self.started = time.perf_counter()
        self.environ = environ
        self.id = accept_request_id(environ.get("HTTP_X_REQUEST_ID"))
        self.traceparent = continue_trace(environ.get("HTTP_TRACEPARENT"))
        self.route = "unmatched"
        self.is_local = False
        self.is_shared = False
        self.told: Fields = []
        self.cookies: Fields = []
        self.portal: Portal | None = None  # whose session it came with
        self.person: str | None = None
        bind_correlation(self.id, self.traceparent)

    def record(self, status: int) -> None:
        """Until the answer began: a stream has no other duration worth knowing."""
        elapsed = time.perf_counter() - self.started
        method = self.environ["REQUEST_METHOD"]
        observe_request(method, self.route, status, elapsed)
        log_request(method, self.route, status, elapsed)


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(address)
    except ValueError:
        return None


def _refuses_token(answer: Answer) -> bool:
    """A service may have heard of a revocation a moment before we do."""
    return answer.head.status == 401 and any(
        name.lower() == "www-authenticate" and 'error="invalid_token"' in value for name, value in answer.head.fields
    )


def is_event_stream(fields: Fields) -> bool:
    """Server-Sent Events: they end, as tunnels do, when one side leaves, and clients come back by themselves."""
    return any(name.lower() == "content-type" and value.startswith("text/event-stream") for name, value in fields)
