"""Following one's orders over Socket.IO: what the event stream tells, for clients that speak this.

By WebSocket only. Long-polling is many requests of one session, which lives in the process that began it; behind
several instances they would have to find their way back to that one, and a client that can do no WebSocket has the
event stream.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import parse_qs, quote

import engineio
import gevent
import socketio
from flask import Flask
from socketio.exceptions import ConnectionRefusedError as Refused
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from wsproto.frame_protocol import CloseReason

from common.auth import Presented, Principal, TokenVerifier, require
from common.errors import Conflict, DomainError, Invalid, Unauthorized, Unavailable
from common.metrics import observe_request
from common.telemetry import REQUEST, accept_request_id, bind_correlation, continue_trace, get_logger
from order_service.api.updates import CLOSED_EVENT, EVENT, came_from, farewell, told
from order_service.domain.updates import Cursor
from order_service.updates import Listener, UpdateStreams
from order_service.websocket import NoWebSocket, WebSocket

PATH = "/socket.io/"
CURSOR_EVENT = "order_cursor"
PING_SECONDS = 25
PONG_SECONDS = 20
JOIN_SECONDS = 10.0
"""Within which a client has to say who it is."""
LONGEST_MESSAGE = 16_384
_WEBSOCKET = "order_service.websocket"

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
log = get_logger(__name__)


class LiveSockets:
    """The WSGI application in front of an order service's: takes the WebSockets, and leaves it all the rest."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._rest = app.wsgi_app
        self._streams: UpdateStreams = app.extensions["updates"]
        self._verifier: TokenVerifier = app.extensions["token_verifier"]
        self._open: set[WebSocket] = set()
        self._strangers: dict[WebSocket, gevent.Greenlet] = {}
        self._is_stopping = False
        self._server = _SocketServer(
            async_mode="gevent",
            async_handlers=False,
            transports=["websocket"],
            cors_allowed_origins=[],  # origins are the gateway's business
            ping_interval=PING_SECONDS,
            ping_timeout=PONG_SECONDS,
            max_http_buffer_size=LONGEST_MESSAGE,
            logger=_quiet("socketio"),
            engineio_logger=_quiet("engineio"),
        )
        self._server.on("connect", self._connect)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        websocket = self._taken(environ)
        if websocket is None:
            return self._rest(environ, start_response)
        bind_correlation(
            accept_request_id(environ.get("HTTP_X_REQUEST_ID")), continue_trace(environ.get("HTTP_TRACEPARENT"))
        )
        environ[_WEBSOCKET] = websocket
        self._open.add(websocket)
        self._strangers[websocket] = gevent.spawn_later(JOIN_SECONDS, websocket.close)
        try:
            websocket.accept()
            observe_request("GET", PATH, 101, 0.0)
            log.info(REQUEST, method="GET", route=PATH, status=101, ms=0.0)
            self._server.handle_request(environ, start_response)
        finally:
            self._know(websocket)
            self._open.discard(websocket)
            websocket.close()
        raise StopIteration  # how gunicorn is told that the connection was used up

    def _know(self, websocket: WebSocket) -> None:
        """No stranger any more: it may stay."""
        if time_out := self._strangers.pop(websocket, None):
            time_out.kill(block=False)

    def _taken(self, environ: Environ) -> WebSocket | None:
        if not _is_for_us(environ) or self._is_stopping:
            return None
        try:
            return WebSocket(environ, LONGEST_MESSAGE)
        except NoWebSocket:
            return None

    def stop(self) -> None:
        """Every connection ends, and its client comes back to another instance."""
        self._is_stopping = True
        for websocket in list(self._open):
            gevent.spawn(websocket.close)

    def _connect(self, sid: str, environ: Environ, auth: Any) -> None:
        """A client says who it is; what is raised here reaches it as `connect_error`."""
        websocket: WebSocket = environ[_WEBSOCKET]
        try:
            if websocket not in self._strangers:
                raise Conflict("One connection follows one person's orders; open another.")
            with self._app.app_context():
                bearer, after = self._admit(environ, auth if isinstance(auth, dict) else {})
        except DomainError as error:
            raise Refused(error.detail or error.code, error.as_problem()) from None
        self._know(websocket)
        listener = Listener(bearer.user_id, came_from(environ), partial(self._goes_on, websocket, bearer))
        gevent.spawn(self._follow, sid, websocket, listener, after)  # once the client knows that it is in

    def _admit(self, environ: Environ, auth: dict[str, Any]) -> tuple[Principal, Cursor]:
        bearer = self._verifier.authenticate(self._presented(environ, auth.get("token")))
        if bearer is None:
            raise Unauthorized("Send an access token as auth: {token}.")
        require(bearer, ("orders:read",), people_only=True)
        return bearer, self._begin(auth.get("last_event_id"))

    def _presented(self, environ: Environ, token: Any) -> Presented:
        """The token of the payload goes before the header's; a browser's WebSocket can send no header."""
        authorization, proof = environ.get("HTTP_AUTHORIZATION"), environ.get("HTTP_DPOP")
        if token is not None:
            authorization, proof = f"Bearer {token}", None
        url = self._app.extensions["config"].public_url + quote(environ["PATH_INFO"])
        return Presented(authorization, proof, "GET", url)

    def _begin(self, last_event_id: Any) -> Cursor:
        if last_event_id and not isinstance(last_event_id, str):
            raise Invalid("last_event_id is none of ours.")
        after = Cursor.parse(last_event_id) if last_event_id else None
        try:
            return self._streams.begin(after)
        except (DBAPIError, PoolTimeout):
            raise Unavailable("The database cannot be reached; try again.") from None

    def _follow(self, sid: str, websocket: WebSocket, listener: Listener, after: Cursor) -> None:
        """Begins with where the client is, so that it can come back though it has seen no update yet."""
        self._server.emit(CURSOR_EVENT, {"cursor": str(after)}, to=sid)
        try:
            for batch in self._streams.follow(listener, after):
                for update in batch:
                    self._server.emit(EVENT, told(update), to=sid)
            if listener.closed_because:
                _take_leave(websocket, listener.closed_because)
        finally:
            websocket.close(CloseReason.POLICY_VIOLATION if listener.closed_because else CloseReason.GOING_AWAY)

    def _goes_on(self, websocket: WebSocket, bearer: Principal) -> bool:
        return websocket.is_open and self._verifier.still_holds(bearer)


class _EngineServer(engineio.Server):
    """Engine.IO over the WebSocket that was taken from the request."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._async: dict[str, Any] = {**self._async, "websocket": _Handed}


class _SocketServer(socketio.Server):
    def _engineio_server_class(self) -> type[engineio.Server]:
        return _EngineServer


class _Handed:
    """What Engine.IO calls to have a request become a WebSocket."""

    def __init__(self, talk: Any, _server: engineio.Server) -> None:
        """`talk` is a method of the session, which would stay behind after an error."""
        self._talk = talk
        self._session = talk.__self__

    def __call__(self, environ: Environ, _start_response: StartResponse) -> Any:
        try:
            return self._talk(environ[_WEBSOCKET])
        except (ValueError, RecursionError):
            return []  # what came is no Engine.IO
        finally:
            self._session.close(wait=False, abort=True)


def _is_for_us(environ: Environ) -> bool:
    """A WebSocket for a new session of the protocol's current version; anything else is told what is spoken here."""
    query = parse_qs(environ.get("QUERY_STRING", ""))
    return (
        environ["PATH_INFO"].rstrip("/") == PATH.rstrip("/")
        and environ["REQUEST_METHOD"] == "GET"
        and environ.get("HTTP_UPGRADE", "").lower() == "websocket"
        and query.get("transport") == ["websocket"]
        and query.get("EIO") == ["4"]
        and "sid" not in query
    )


def _take_leave(websocket: WebSocket, because: str) -> None:
    """Past Engine.IO's queue, whose writer would find the connection closed before it got there."""
    event = socketio.packet.Packet(socketio.packet.EVENT, data=[CLOSED_EVENT, farewell(because)])
    with suppress(OSError):
        websocket.send(engineio.packet.Packet(engineio.packet.MESSAGE, data=event.encode()).encode())


def _quiet(name: str) -> logging.Logger:
    """What clients do wrong is no error of ours."""
    logger = logging.getLogger(name)
    logger.setLevel(logging.CRITICAL)
    return logger
