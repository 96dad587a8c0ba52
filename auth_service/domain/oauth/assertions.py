"""private_key_jwt: a client shows that it holds the key it registered (RFC 7523, OpenID Connect Core section 9)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import jwt

from auth_service.domain.oauth.requests import FormRequest
from auth_service.models import Client

if TYPE_CHECKING:
    from auth_service.domain.oauth.server import TokenServer

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = ("ES256", "EdDSA", "RS256", "PS256")
LONGEST_LIFE = 3600
LEEWAY = 10
MAX_LENGTH = 8192


class PrivateKeyJwt:
    """One of the ways for Authlib's registry of client authentication."""

    def __init__(self, server: TokenServer) -> None:
        self._server = server

    def __call__(self, query_client: Any, request: FormRequest) -> Client | None:
        """The client that made the assertion, or None when it does not hold."""
        assertion = request.form.get("client_assertion", "")
        if request.form.get("client_assertion_type") != ASSERTION_TYPE or len(assertion) > MAX_LENGTH:
            return None
        try:
            client = self._claimed(query_client, request, assertion)
            claims = self._verified(client, assertion) if client else None
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):
            return None
        return client if client and claims and self._is_first(client, claims) else None

    def _claimed(self, query_client: Any, request: FormRequest, assertion: str) -> Client | None:
        """The client that it speaks of, which proves nothing yet."""
        named = jwt.decode(assertion, options={"verify_signature": False}).get("sub")
        if not isinstance(named, str) or "\x00" in named or request.form.get("client_id", named) != named:
            return None
        client: Client | None = query_client(named)
        return client

    def _verified(self, client: Client, assertion: str) -> dict[str, Any]:
        """Its audience is our issuer identifier and nothing else (RFC 7523bis section 3). Raises jwt.PyJWTError."""
        header = jwt.get_unverified_header(assertion)
        claims: dict[str, Any] = jwt.decode(
            assertion,
            _key(client, header).key,
            algorithms=[header["alg"]],
            audience=self._server.issuer.url,
            issuer=client.client_id,
            subject=client.client_id,
            leeway=LEEWAY,
            options={"require": ["iss", "sub", "aud", "exp", "jti"]},
        )
        if claims["aud"] != self._server.issuer.url:
            raise jwt.InvalidAudienceError  # one of several may be somebody else's, who could use it here
        if claims["exp"] > time.time() + LONGEST_LIFE + LEEWAY or not str(claims["jti"]):
            raise jwt.InvalidTokenError
        return claims

    def _is_first(self, client: Client, claims: dict[str, Any]) -> bool:
        name = f"{client.client_id} {claims['jti']}"
        return self._server.spend("client assertion", name, float(claims["exp"]) + LEEWAY)


def _key(client: Client, header: dict[str, Any]) -> jwt.PyJWK:
    """The registered key for this signature. Raises jwt.PyJWTError."""
    algorithm = header["alg"]
    if algorithm not in ALGORITHMS:
        raise jwt.InvalidAlgorithmError
    for jwk in (client.jwks or {"keys": []})["keys"]:
        if _fits(jwk, header):
            return jwt.PyJWK(jwk, algorithm=algorithm)
    raise jwt.InvalidKeyError


def _fits(jwk: dict[str, Any], header: dict[str, Any]) -> bool:
    algorithm = header["alg"]
    kind = {"ES256": ("EC", "P-256"), "EdDSA": ("OKP", "Ed25519")}.get(algorithm, ("RSA", None))
    return (
        (jwk["kty"], jwk.get("crv")) == kind
        and jwk.get("alg", algorithm) == algorithm
        and header.get("kid") in (None, jwk.get("kid"))
    )
