"""The events as an AsyncAPI 3 document, read off their contracts."""

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
        "channels": {name: _channel(name, event) for name, event in events.items()},
        "operations": {f"publish.{name}": _operation(name) for name in events},
        "components": {"messages": messages, "schemas": schemas},
    }


_ABOUT = (
    "What the services tell each other has happened. Each event reaches every consumer at least once, and those of "
    "one key in the order in which they were recorded. Contracts only ever gain optional fields."
)


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
