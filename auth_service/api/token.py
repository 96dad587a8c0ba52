"""What clients call with their own credentials: /token, /par, /device_authorization, /introspect and /revoke."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request

from auth_service.api.authority import authority
from auth_service.domain.oauth.errors import OAuthRefusal
from auth_service.domain.oauth.proofs import current_nonce
from auth_service.domain.oauth.requests import FormRequest
from common.auth import foreign_credentials
from common.db import end_request_session, session

api = Blueprint("token", __name__)
UNCACHED = {"Cache-Control": "no-store", "Pragma": "no-cache"}


@api.post("/token")
@foreign_credentials
def token() -> tuple[dict[str, Any], int, dict[str, str]]:
    """Tokens for a code, a refresh token, a device, another token, or a client's own credentials."""
    form = _form()
    nonce = {} if form.dpop is None else {"DPoP-Nonce": current_nonce(authority.provider)}
    return authority.token_server(session).token(form), 200, UNCACHED | nonce


@api.post("/par")
@foreign_credentials
def push() -> tuple[dict[str, Any], int, dict[str, str]]:
    """Leave an authorization request with us (RFC 9126)."""
    return authority.token_server(session).push(_form()), 201, UNCACHED


@api.post("/device_authorization")
@foreign_credentials
def start_device() -> tuple[dict[str, Any], int, dict[str, str]]:
    """Codes for a device without a browser (RFC 8628)."""
    return authority.token_server(session).start_device(_form()), 200, UNCACHED


@api.post("/introspect")
@foreign_credentials
def introspect() -> tuple[dict[str, Any], int, dict[str, str]]:
    """What is true of a token now (RFC 7662)."""
    return authority.token_server(session).introspect(_form()), 200, UNCACHED


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
    pairs = request.form.items(multi=True)
    return FormRequest(request.path, pairs, request.headers.get("Authorization"), request.headers.get("DPoP"))
