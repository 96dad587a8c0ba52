"""What the whole system says about itself: OpenAPI, AsyncAPI, and a page to read and try it on."""

from __future__ import annotations

from pathlib import Path

import flask_swagger_ui
import orjson
from flask import Blueprint, Response, redirect, send_from_directory
from werkzeug.wrappers import Response as WerkzeugResponse

from common.auth import foreign_credentials
from common.errors import NotFound
from gateway import asyncapi
from gateway.openapi import MergedDocument
from gateway.ready import Ready

_OWN_FILES = Path(__file__).parent / "static"
_SWAGGER_FILES = Path(flask_swagger_ui.__file__).parent / "dist"
_SWAGGER_ASSETS = frozenset({"swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"})
_ONE_HOUR_SECONDS = 3600
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def docs_blueprint(merged: MergedDocument) -> Blueprint:
    blueprint = Blueprint("docs", __name__)
    events = Ready(orjson.dumps(asyncapi.document()))

    @blueprint.get("/")
    @foreign_credentials
    def entrance() -> WerkzeugResponse:
        """Whoever opens the address in a browser is shown what there is."""
        return redirect("/api/docs")

    @blueprint.get("/api/openapi.json")
    @foreign_credentials
    def openapi_document() -> Response:
        return merged.get().response()

    @blueprint.get("/api/asyncapi.json")
    @foreign_credentials
    def asyncapi_document() -> Response:
        return events.response()

    @blueprint.get("/api/docs")
    @foreign_credentials
    def page() -> Response:
        answer = send_from_directory(_OWN_FILES, "docs.html", max_age=0)
        answer.headers["Content-Security-Policy"] = _POLICY
        return answer

    @blueprint.get("/api/docs/<name>")
    @foreign_credentials
    def asset(name: str) -> Response:
        if name == "docs.js":
            return send_from_directory(_OWN_FILES, name, max_age=_ONE_HOUR_SECONDS)
        if name not in _SWAGGER_ASSETS:
            raise NotFound
        return send_from_directory(_SWAGGER_FILES, name, max_age=_ONE_HOUR_SECONDS)

    return blueprint
