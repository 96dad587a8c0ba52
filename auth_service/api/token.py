"""POST /token and POST /revoke (RFC 6749 section 3.2, RFC 7009)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request

from auth_service.api.authority import authority
from auth_service.domain.oauth.errors import OAuthRefusal
from auth_service.domain.oauth.requests import FormRequest
from common.auth import foreign_credentials
from common.db import end_request_session, session

api = Blueprint("token", __name__)
UNCACHED = {"Cache-Control": "no-store", "Pragma": "no-cache"}


@api.post("/token")
@foreign_credentials
def token() -> tuple[dict[str, Any], int, dict[str, str]]:
    """Tokens for a code, a refresh token or a client's own credentials."""
    return authority.token_server(session).token(_form()), 200, UNCACHED


@api.post("/revoke")
@foreign_credentials
def revoke() -> tuple[dict[str, Any], int, dict[str, str]]:
    """Make a token and all of its family worthless."""
    authority.token_server(session).revoke(_form())
    return {}, 200, UNCACHED


@api.errorhandler(OAuthRefusal)
def refuse(error: OAuthRefusal) -> tuple[dict[str, str], int, dict[str, str]]:
    end_request_session(commit=error.keeps_changes)
    return error.body(), error.http_status, UNCACHED | error.headers


def _form() -> FormRequest:
    return FormRequest(request.path, request.form.items(multi=True), request.headers.get("Authorization"))
