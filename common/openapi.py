"""The OpenAPI 3.1 document of an application, read off what its views declare."""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Iterable, Iterator
from typing import Any

from flask import Flask
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode
from werkzeug.routing import Rule

from common.api import FileContent, FormFields, Operation, operation
from common.errors import PROBLEM_JSON

_REF = "#/components/schemas/{model}"
_PARAMETER_SCHEMAS = {
    "uuid": {"type": "string", "format": "uuid"},
    "int": {"type": "integer"},
}
_READ: JsonSchemaMode = "validation"
_WRITTEN: JsonSchemaMode = "serialization"
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
    routes = list(_routes(app))
    schemas = _Schemas(declared for _, declared in routes)
    paths: dict[str, Any] = {}
    for rule, declared in routes:
        path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            paths.setdefault(path, {})[method.lower()] = _operation(app, rule, method, declared, schemas)
    _require_different(paths)
    _name_operations(paths)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1"},
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "dpop": {"type": "http", "scheme": "DPoP", "description": "A token bound to a key (RFC 9449)"},
            },
        },
    }


def _routes(app: Flask) -> Iterator[tuple[Rule, Operation]]:
    for rule in app.url_map.iter_rules():
        is_inner = rule.endpoint.startswith("health.") or rule.rule.startswith("/internal/")
        if not is_inner and not rule.endpoint.endswith("static"):
            yield rule, operation(inspect.unwrap(app.view_functions[rule.endpoint]))


def _require_different(paths: dict[str, Any]) -> None:
    """Paths that differ only in the names of their parameters are the same (OpenAPI 3.1 section 4.8.8.2)."""
    shapes = [re.sub(r"{[^}]+}", "{}", path) for path in paths]
    if twice := sorted({shape for shape in shapes if shapes.count(shape) > 1}):
        raise RuntimeError(f"these paths name their parameters in two ways: {', '.join(twice)}")


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(each.capitalize() for each in others)


def _name_operations(paths: dict[str, Any]) -> None:
    """What one view answers at several paths or for several methods is named by the shortest; the others say where."""
    taken: set[str] = set()
    for path in sorted(paths, key=lambda path: (len(path), path)):
        for method, described in paths[path].items():
            if described["operationId"] in taken:
                place = re.sub(r"{[^}]*}|[^a-z]+", "_", path.removeprefix("/api/v1")).strip("_")
                described["operationId"] += f"By{method.capitalize()}" + _camel_case(f"_{place}")
            taken.add(described["operationId"])


class _Names(GenerateJsonSchema):
    """A page of Book is BookList: a name that a client's language can write."""

    def normalize_name(self, name: str) -> str:
        return super().normalize_name(re.sub(r"^Page\[(\w+)\]$", r"\1List", name))


class _Schemas:
    """The schemas of all that the operations take and give. Types of the same name are told apart by their modules."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        declarations = list(operations)
        types = dict.fromkeys(each for declared in declarations for each in _types(declared))
        inputs = [((type_, mode), mode, TypeAdapter(type_)) for type_, mode in types]
        by_key, shared = TypeAdapter.json_schemas(inputs, ref_template=_REF, schema_generator=_Names)
        self._by_type = {key: schema for (key, _mode), schema in by_key.items()}
        self.components: dict[str, Any] = shared.get("$defs", {})
        self._flat = {model: self.components.pop(self._name(model)) for model in _flat_types(declarations)}
        if "Problem" in self.components:
            raise RuntimeError("Problem is what an error looks like: another type needs another name")
        self.components["Problem"] = _PROBLEM

    def taken(self, type_: Any) -> dict[str, Any]:
        return self._by_type[type_, _READ]

    def given(self, type_: Any) -> dict[str, Any]:
        return self._by_type[type_, _WRITTEN]

    def flat(self, model: type[BaseModel]) -> dict[str, Any]:
        """Of a form or of parameters, which stands where it is used."""
        return copy.deepcopy(self._flat[model])

    def _name(self, model: type[BaseModel]) -> str:
        return str(self.taken(model)["$ref"]).rpartition("/")[2]


def _flat_types(operations: Iterable[Operation]) -> set[type[BaseModel]]:
    queries = {declared.query for declared in operations if declared.query}
    return queries | {declared.form.texts for declared in operations if declared.form}


def _types(declared: Operation) -> Iterator[tuple[Any, JsonSchemaMode]]:
    for model in (declared.body, *_flat_types([declared])):
        if model:
            yield model, _READ
    for model, _ in declared.responses.values():
        if model is not None and not isinstance(model, FileContent):
            yield model, _WRITTEN


def _operation(app: Flask, rule: Rule, method: str, declared: Operation, schemas: _Schemas) -> dict[str, Any]:
    view = app.view_functions[rule.endpoint]
    summary = inspect.getdoc(view) or view.__name__.replace("_", " ").capitalize()
    described: dict[str, Any] = {
        "operationId": declared.name or _camel_case(inspect.unwrap(view).__name__),
        "summary": summary.partition("\n")[0],
        "tags": [rule.endpoint.partition(".")[0]],
        "parameters": [*_path_parameters(rule), *_query_parameters(declared, schemas)],
        "responses": _responses(declared, schemas),
    }
    if method in ("POST", "PUT", "PATCH", "DELETE") and (content := _body(declared, schemas)):
        described["requestBody"] = {"required": declared.body_required, "content": content}
    if declared.scopes is not None:
        sufficient = [[scope] for scope in declared.scopes] if declared.any_scope else [list(declared.scopes)]
        described["security"] = [{scheme: scopes} for scopes in sufficient for scheme in ("bearer", "dpop")]
    return described


def _body(declared: Operation, schemas: _Schemas) -> dict[str, Any]:
    content = {"application/json": {"schema": schemas.taken(declared.body)}} if declared.body else {}
    if declared.form:
        content["multipart/form-data"] = {"schema": _form(declared.form, schemas)}
    return content | (_files(declared.file) if declared.file else {})


def _files(file: FileContent) -> dict[str, Any]:
    """OpenAPI 3.1 section 4.8.14.2: a body that is a file has no schema."""
    return {media_type: {} for media_type in file.media_types}


def _form(form: FormFields, schemas: _Schemas) -> dict[str, Any]:
    described = schemas.flat(form.texts)
    for name, schema in described["properties"].items():
        if "items" in schema:  # in a form, one text is a list of one
            described["properties"][name] = {"anyOf": [schema, schema["items"]]}
    file = {"type": "string", "format": "binary"}
    described["properties"][form.files] = {"type": "array", "items": file} if form.several else file
    if not form.several:
        described["required"] = [*described.get("required", []), form.files]
    return described


def _path_parameters(rule: Rule) -> list[dict[str, Any]]:
    parameters = []
    for converter, name in re.findall(r"<(?:([^:<>(]+)(?:\([^)]*\))?:)?([^<>]+)>", rule.rule):
        schema = _PARAMETER_SCHEMAS.get(converter, {"type": "string"})
        parameters.append({"name": name, "in": "path", "required": True, "schema": schema})
    return parameters


def _query_parameters(declared: Operation, schemas: _Schemas) -> list[dict[str, Any]]:
    if declared.query is None:
        return []
    described = schemas.flat(declared.query)
    required = described.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": schema}
        for name, schema in described["properties"].items()
    ]


def _responses(declared: Operation, schemas: _Schemas) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, (model, description) in declared.responses.items():
        responses[str(status)] = {"description": description or "Done"}
        if isinstance(model, FileContent):
            responses[str(status)]["content"] = _files(model)
        elif model is not None:
            responses[str(status)]["content"] = {"application/json": {"schema": schemas.given(model)}}
    problem = {PROBLEM_JSON: {"schema": {"$ref": _REF.format(model="Problem")}}}
    responses["default"] = {"description": "A problem (RFC 9457)", "content": problem}
    return responses
