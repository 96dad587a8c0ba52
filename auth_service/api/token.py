"""What clients call with their own credentials: /token, /par, /device_authorization, /introspect and /revoke."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, request

from auth_service.api.authority import authority, client_address
from auth_service.domain import throttle
from auth_service.domain.oauth.errors import UNAUTHENTICATED, OAuthRefusal
from auth_service.domain.oauth.proofs import current_nonce
from auth_service.domain.oauth.requests import FormRequest, basic_credentials
from common.auth import foreign_credentials
from common.db import end_request_session, session, transaction

api = Blueprint("token", __name__)
PUSHED_LIMIT = 16 * 1024
"""The bytes of a pushed request, which is kept in the database for anybody who names a public client."""
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
    request.max_content_length = PUSHED_LIMIT
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
    if error.error == UNAUTHENTICATED and (counters := _guesses(_read())):
        with transaction() as opened:
            throttle.count_failure(opened, counters)
    return error.body(), error.http_status, UNCACHED | error.headers


def _form() -> FormRequest:
    """The request's form. Raises SignInThrottled for a client of which secrets are guessed from this address."""
    form = _read()
    if counters := _guesses(form):
        with transaction() as opened:
            throttle.require_patience(opened, counters)
    return form


def _read() -> FormRequest:
    pairs = request.form.items(multi=True)
    return FormRequest(request.path, pairs, request.headers.get("Authorization"), request.headers.get("DPoP"))


def _guesses(form: FormRequest) -> Sequence[throttle.Counter]:
    """What counts the wrong secrets of a client, by its name and by who asks; none for who shows no secret."""
    basic = basic_credentials(form.headers.get("Authorization"))
    client_id = basic[0][0] if basic else form.form.get("client_id", "")
    if not authority.config.rate_limits_enabled or not (basic or "client_secret" in form.form):
        return ()
    return throttle.guesses("client secret", f"{throttle.places(client_address())[0]} {client_id}")
