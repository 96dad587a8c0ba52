"""Following one's orders live, as Server-Sent Events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from flask import Blueprint, Response, current_app, json, request

from common.api import returns
from common.auth import TokenVerifier, current_user, requires_user
from order_service.domain.updates import Cursor, Update
from order_service.updates import UpdateStreams

api = Blueprint("updates", __name__, url_prefix="/api/v1/orders")

RETRY_MILLISECONDS = 2000
EVENT = "order_update"


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
    batches = streams.follow(bearer.user_id, after, partial(verifier.still_holds, bearer))
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Response(_events(after, batches), content_type="text/event-stream", headers=headers)


def _events(after: Cursor, batches: Iterable[tuple[Update, ...]]) -> Iterator[str]:
    """Begins with where the stream is, so that one that breaks before its first event can be taken up again."""
    yield f"retry: {RETRY_MILLISECONDS}\nid: {after}\n\n"
    for batch in batches:
        yield "".join(map(_event, batch)) or ": \n\n"


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
