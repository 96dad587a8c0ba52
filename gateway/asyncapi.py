"""The events as an AsyncAPI 3 document, read off their contracts, and what clients are told live."""

from __future__ import annotations

from typing import Any

from common.events import Event, published


def document() -> dict[str, Any]:
    events = published()
    schemas: dict[str, Any] = {}
    messages = {name: _message(name, event, schemas) for name, event in events.items()}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Bookstore events", "version": "1", "description": _ABOUT},
        "defaultContentType": "application/json",
        "channels": {name: _channel(name, event) for name, event in events.items()} | _LIVE_CHANNELS,
        "operations": {f"publish.{name}": _operation(name) for name in events} | _LIVE_OPERATIONS,
        "components": {"messages": messages | _LIVE_MESSAGES, "schemas": schemas | _LIVE_SCHEMAS},
    }


_ABOUT = (
    "What the services tell each other has happened. Each event reaches every consumer at least once, and those of "
    "one key in the order in which they were recorded. Contracts only ever gain optional fields."
)


_LIVE_CHANNELS: dict[str, Any] = {
    "live.events": {
        "address": "/api/v1/orders/events",
        "description": "Server-Sent Events. The cursor is the event's id, to come back with as Last-Event-ID.",
        "messages": {
            "order_update": {"$ref": "#/components/messages/live.order_update"},
            "closed": {"$ref": "#/components/messages/live.closed"},
        },
    },
    "live.socketio": {
        "address": "/socket.io/",
        "description": (
            "Socket.IO 3 and later, by WebSocket only: transports: ['websocket']. `auth` is {token, last_event_id}; a "
            "refusal is a connect_error whose `data` is the problem. The connection ends with the token."
        ),
        "messages": {
            "order_update": {"$ref": "#/components/messages/live.order_update"},
            "order_cursor": {"$ref": "#/components/messages/live.order_cursor"},
            "closed": {"$ref": "#/components/messages/live.closed"},
        },
    },
}
_LIVE_OPERATIONS: dict[str, Any] = {
    f"tell.{name}": {"action": "send", "channel": {"$ref": f"#/channels/{name}"}, "tags": [{"name": "live"}]}
    for name in _LIVE_CHANNELS
}
_LIVE_MESSAGES: dict[str, Any] = {
    "live.order_update": {
        "name": "order_update",
        "title": "OrderUpdate",
        "summary": "An order of one's own has changed its status.",
        "contentType": "application/json",
        "payload": {"$ref": "#/components/schemas/live.OrderUpdate"},
    },
    "live.order_cursor": {
        "name": "order_cursor",
        "title": "OrderCursor",
        "summary": "Where the connection begins: what to come back with when it breaks before its first update.",
        "contentType": "application/json",
        "payload": {"$ref": "#/components/schemas/live.OrderCursor"},
    },
    "live.closed": {
        "name": "closed",
        "title": "Closed",
        "summary": "This stream was the oldest of too many and ends; one that comes again pushes out the next.",
        "contentType": "application/json",
        "payload": {"$ref": "#/components/schemas/live.Closed"},
    },
}
_CURSOR = {"type": "string", "description": "Opaque: sent as `last_event_id`, updates go on after it."}
_LIVE_SCHEMAS: dict[str, Any] = {
    "live.OrderUpdate": {
        "type": "object",
        "required": ["order_id", "number", "status", "at", "cursor"],
        "properties": {
            "order_id": {"type": "string", "format": "uuid"},
            "number": {"type": "string"},
            "status": {"type": "string"},
            "at": {"type": "string", "format": "date-time"},
            "cursor": _CURSOR,
        },
    },
    "live.Closed": {
        "type": "object",
        "required": ["code", "detail"],
        "properties": {"code": {"type": "string", "enum": ["too_many_streams"]}, "detail": {"type": "string"}},
    },
    "live.OrderCursor": {"type": "object", "required": ["cursor"], "properties": {"cursor": _CURSOR}},
}


def _channel(name: str, event: type[Event]) -> dict[str, Any]:
    return {
        "address": name,
        "description": f"Ordered by {event.key_field}.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
    }


def _operation(name: str) -> dict[str, Any]:
    publisher = name.partition(".")[0]
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{name}"},
        "tags": [{"name": publisher}],
        "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
    }


def _message(name: str, event: type[Event], schemas: dict[str, Any]) -> dict[str, Any]:
    publisher = name.partition(".")[0]
    payload = event.model_json_schema(ref_template=f"#/components/schemas/{publisher}.{{model}}", mode="serialization")
    for model, schema in payload.pop("$defs", {}).items():
        schemas[f"{publisher}.{model}"] = schema
    message = {"name": name, "title": event.__name__, "contentType": "application/json", "payload": payload}
    if event.__doc__ and event.__doc__ != Event.__doc__:
        message["summary"] = event.__doc__.partition("\n")[0]
    return message
