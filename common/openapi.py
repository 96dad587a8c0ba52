"""The OpenAPI 3.1 document of an application, read off what its views declare."""

from __future__ import annotations

import inspect
import re
from typing import Any

from flask import Flask
from pydantic import BaseModel, TypeAdapter
from werkzeug.routing import Rule

from common.api import Operation, operation
from common.errors import PROBLEM_JSON

_REF = "#/components/schemas/{model}"
_PARAMETER_SCHEMAS = {
    "uuid": {"type": "string", "format": "uuid"},
    "int": {"type": "integer"},
}
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "request_id": {"type": ["string", "null"]},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}


def document(app: Flask, title: str) -> dict[str, Any]:
    """Every route that is meant for the outside, with its schemas, scopes and errors."""
    schemas: dict[str, Any] = {"Problem": _PROBLEM}
    paths: dict[str, Any] = {}
    for rule in app.url_map.iter_rules():
        if (
            rule.endpoint.startswith("health.")
            or rule.endpoint.endswith("static")
            or rule.rule.startswith("/internal/")
        ):
            continue
        declared = operation(inspect.unwrap(app.view_functions[rule.endpoint]))
        path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            paths.setdefault(path, {})[method.lower()] = _operation(app, rule, method, declared, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1"},
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "dpop": {"type": "http", "scheme": "DPoP", "description": "A token bound to a key (RFC 9449)"},
            },
        },
    }


def _operation(app: Flask, rule: Rule, method: str, declared: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    view = app.view_functions[rule.endpoint]
    summary = inspect.getdoc(view) or view.__name__.replace("_", " ").capitalize()
    described: dict[str, Any] = {
        "operationId": f"{method.lower()}_{rule.endpoint.replace('.', '_')}_{len(rule.rule)}",
        "summary": summary.partition("\n")[0],
        "tags": [rule.endpoint.partition(".")[0]],
        "parameters": [*_path_parameters(rule), *_query_parameters(declared, schemas)],
        "responses": _responses(declared, schemas),
    }
    if declared.body and method in ("POST", "PUT", "PATCH", "DELETE"):
        content = {"application/json": {"schema": _schema(declared.body, schemas)}}
        described["requestBody"] = {"required": declared.body_required, "content": content}
    if declared.scopes is not None:
        described["security"] = [{"bearer": list(declared.scopes)}, {"dpop": list(declared.scopes)}]
    return described


def _path_parameters(rule: Rule) -> list[dict[str, Any]]:
    parameters = []
    for converter, name in re.findall(r"<(?:([^:<>(]+)(?:\([^)]*\))?:)?([^<>]+)>", rule.rule):
        schema = _PARAMETER_SCHEMAS.get(converter, {"type": "string"})
        parameters.append({"name": name, "in": "path", "required": True, "schema": schema})
    return parameters


def _query_parameters(declared: Operation, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    if declared.query is None:
        return []
    described = declared.query.model_json_schema(ref_template=_REF)
    schemas.update(described.pop("$defs", {}))
    required = described.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": schema}
        for name, schema in described["properties"].items()
    ]


def _responses(declared: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, (model, description) in declared.responses.items():
        responses[str(status)] = {"description": description or "Done"}
        if model is not None:
            content = {"application/json": {"schema": _schema(model, schemas)}}
            responses[str(status)]["content"] = content
    problem = {PROBLEM_JSON: {"schema": {"$ref": _REF.format(model="Problem")}}}
    responses["default"] = {"description": "A problem (RFC 9457)", "content": problem}
    return responses


def _schema(model: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    described = TypeAdapter(model).json_schema(
        ref_template=_REF, mode="validation" if _is_request(model) else "serialization"
    )
    schemas.update(described.pop("$defs", {}))
    if isinstance(model, type) and issubclass(model, BaseModel):
        name = re.sub(r"\W+", "_", model.__name__).strip("_")
        schemas[name] = described
        return {"$ref": _REF.format(model=name)}
    return described


def _is_request(model: Any) -> bool:
    return isinstance(model, type) and issubclass(model, BaseModel) and model.model_config.get("extra") == "forbid"
