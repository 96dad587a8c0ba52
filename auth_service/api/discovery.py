"""What clients find out about us by themselves: RFC 8414, OpenID Connect Discovery, RFC 7517."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from auth_service.api.authority import authority
from auth_service.domain import scopes
from auth_service.domain.clients import AUTH_METHODS, GRANT_TYPES
from auth_service.domain.oauth.authorization import PROMPTS
from common.auth import public
from common.db import transaction

api = Blueprint("discovery", __name__, url_prefix="/.well-known")
CACHED = {"Cache-Control": "public, max-age=300"}


@api.get("/openid-configuration")
@api.get("/oauth-authorization-server")
@public
def metadata() -> tuple[dict[str, Any], int, dict[str, str]]:
    """The endpoints and abilities of this authorization server."""
    return _endpoints(authority.config.issuer) | _abilities(), 200, CACHED


@api.get("/jwks.json")
@public
def jwks() -> tuple[dict[str, Any], int, dict[str, str]]:
    """The public keys of the tokens that we sign."""
    with transaction() as opened:
        authority.keys.signer(opened)  # the first one who looks finds a key
        return authority.keys.jwks(opened), 200, CACHED


def _endpoints(issuer: str) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "userinfo_endpoint": f"{issuer}/userinfo",
        "revocation_endpoint": f"{issuer}/revoke",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
    }


def _abilities() -> dict[str, Any]:
    return {
        "scopes_supported": list(scopes.SUPPORTED),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(GRANT_TYPES),
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "revocation_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [authority.config.signing_algorithm],
        "authorization_response_iss_parameter_supported": True,
        "prompt_values_supported": sorted(PROMPTS),
        "claims_supported": [
            *("sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "sid"),
            *("preferred_username", "updated_at", "email", "email_verified"),
        ],
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }
