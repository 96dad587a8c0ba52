"""What clients find out about us by themselves: RFC 8414, OpenID Connect Discovery, RFC 9728, RFC 7517."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from auth_service.api.authority import authority
from auth_service.domain import scopes
from auth_service.domain.clients import AUTH_METHODS, GRANT_TYPES, PUBLIC
from auth_service.domain.keys import ALGORITHMS
from auth_service.domain.oauth import assertions, claims
from auth_service.domain.oauth.authorization import PROMPTS
from common import assurance, dpop
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


@api.get("/oauth-protected-resource")
@public
def resource() -> tuple[dict[str, Any], int, dict[str, str]]:
    """The store's API as a protected resource (RFC 9728), which the gateway's challenges point to."""
    origin = authority.config.public_url
    document = {
        "resource": origin,
        "resource_name": "Bookstore",
        "resource_documentation": f"{origin}/api/docs",
        "authorization_servers": [authority.config.issuer],
        "scopes_supported": list(scopes.OF_THE_API),
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": list(dpop.ALGORITHMS),
        "dpop_bound_access_tokens_required": False,
    }
    return document, 200, CACHED


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
        "pushed_authorization_request_endpoint": f"{issuer}/par",
        "device_authorization_endpoint": f"{issuer}/device_authorization",
        "introspection_endpoint": f"{issuer}/introspect",
        "revocation_endpoint": f"{issuer}/revoke",
        "end_session_endpoint": f"{issuer}/logout",
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
        "token_endpoint_auth_signing_alg_values_supported": list(assertions.ALGORITHMS),
        "revocation_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "revocation_endpoint_auth_signing_alg_values_supported": list(assertions.ALGORITHMS),
        "introspection_endpoint_auth_methods_supported": [each for each in AUTH_METHODS if each != PUBLIC],
        "introspection_endpoint_auth_signing_alg_values_supported": list(assertions.ALGORITHMS),
        "dpop_signing_alg_values_supported": list(dpop.ALGORITHMS),
        "require_pushed_authorization_requests": False,
        "protected_resources": [authority.config.issuer],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(dict.fromkeys([authority.config.signing_algorithm, *ALGORITHMS])),
        "authorization_response_iss_parameter_supported": True,
        "prompt_values_supported": sorted(PROMPTS),
        "claims_supported": [
            *("sub", "iss", "aud", "exp", "iat", "auth_time", "acr", "amr", "nonce", "at_hash", "sid"),
            *claims.SCOPES,
        ],
        "claim_types_supported": ["normal"],
        "acr_values_supported": list(assurance.LEVELS),
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "claims_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }
