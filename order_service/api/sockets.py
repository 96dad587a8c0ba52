"""Where Socket.IO is spoken; WebSockets are taken by order_service/sockets.py before they come here."""

from __future__ import annotations

from flask import Blueprint

from common.api import returns
from common.auth import public
from common.errors import BadRequest

api = Blueprint("sockets", __name__)


class WebSocketOnly(BadRequest):
    code = "websocket_only"


@api.get("/socket.io/")
@public
@returns(None, status=101, description="A WebSocket that speaks Socket.IO: `order_update`, as in /api/asyncapi.json")
def open_socket() -> None:
    """One's own orders as they change, over Socket.IO; `auth` is {token, last_event_id}.

    WebSockets only: pass `transports: ["websocket"]`, since a client's default is to begin with long-polling. That
    would be many requests of one session, which lives in the process that began it, and would need a load balancer
    that sends each of them there. A client that can open no WebSocket has the event stream at /api/v1/orders/events.
    """
    raise WebSocketOnly("Connect by WebSocket: transports: ['websocket'], and Engine.IO 4 (Socket.IO 3 and later).")
