"""Following one's orders live, as Server-Sent Events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from flask import Blueprint, Response, current_app, json, request

from common.api import returns
from common.auth import TokenVerifier, current_user, requires_user
from order_service.domain.updates import Cursor, Update
from order_service.updates import Listener, UpdateStreams

api = Blueprint("updates", __name__, url_prefix="/api/v1/orders")

RETRY_MILLISECONDS = 2000
RETRY_CLOSED_MILLISECONDS = 60_000
"""For a client that does not heed the reason: it would push out the next one's stream at once."""
EVENT = "order_update"
CLOSED_EVENT = "closed"


@api.get("/events")
@requires_user("orders:read")
@returns(None, description="text/event-stream: order_update, with {order_id, number, status, at, cursor}")
def follow_orders() -> Response:
    """One's own orders as they change, from now on or after Last-Event-ID; ends with the token, then come again."""
    streams: UpdateStreams = current_app.extensions["updates"]
    bearer = current_user()
    last = request.headers.get("Last-Event-ID")
    after = streams.begin(Cursor.parse(last) if last else None)
    verifier: TokenVerifier = current_app.extensions["token_verifier"]
    listener = Listener(bearer.user_id, came_from(request.environ), partial(verifier.still_holds, bearer))
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    events = _events(after, listener, streams.follow(listener, after))
    return Response(events, content_type="text/event-stream", headers=headers)


def _events(after: Cursor, listener: Listener, batches: Iterable[tuple[Update, ...]]) -> Iterator[str]:
    """Begins with where the stream is, so that one that breaks before its first event can be taken up again."""
    yield f"retry: {RETRY_MILLISECONDS}\nid: {after}\n\n"
    for batch in batches:
        yield "".join(map(_event, batch)) or ": \n\n"
    if listener.closed_because:
        said = json.dumps(farewell(listener.closed_because))
        yield f"retry: {RETRY_CLOSED_MILLISECONDS}\nevent: {CLOSED_EVENT}\ndata: {said}\n\n"


def _event(update: Update) -> str:
    return f"event: {EVENT}\nid: {update.cursor}\ndata: {json.dumps(told(update))}\n\n"


def told(update: Update) -> dict[str, str]:
    """What clients are told of an update, whichever protocol they speak."""
    return {
        "order_id": str(update.order_id),
        "number": update.number,
        "status": update.status,
        "at": update.at.isoformat(),
        "cursor": str(update.cursor),
    }


def farewell(code: str) -> dict[str, str]:
    """What clients are told when their stream ends for a reason, and coming again would be of no use."""
    return {"code": code, "detail": "You follow your orders in too many places; this was the oldest of them."}


def came_from(environ: dict[str, Any]) -> str:
    """The client's address, as the gateway tells it."""
    return str(environ.get("HTTP_X_FORWARDED_FOR") or environ.get("REMOTE_ADDR", ""))
