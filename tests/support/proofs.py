"""A key of a client's, and what it proves with it: DPoP (RFC 9449) and private_key_jwt (RFC 7523)."""

from __future__ import annotations

import base64
import hashlib
import time
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from common.dpop import thumbprint

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Key:
    def __init__(self) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.public_jwk: dict[str, Any] = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)

    @property
    def jkt(self) -> str:
        return thumbprint(self.public_jwk)

    def proof(
        self,
        method: str,
        url: str,
        *,
        token: str | None = None,
        nonce: str | None = None,
        header: dict[str, Any] | None = None,
        key: Any = None,
        **claims: Any,
    ) -> str:
        """A change to None leaves a claim or header out."""
        made: dict[str, Any] = {"htm": method, "htu": url, "iat": int(time.time()), "jti": str(uuid4())}
        if token is not None:
            made["ath"] = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
        if nonce is not None:
            made["nonce"] = nonce
        headers = {"typ": "dpop+jwt", "jwk": self.public_jwk} | (header or {})
        return jwt.encode(_without_none(made | claims), key or self.private, "ES256", headers=_without_none(headers))

    def headers(self, method: str, url: str, token: str, **changes: Any) -> dict[str, str]:
        """Of a request to a resource."""
        return {"Authorization": f"DPoP {token}", "DPoP": self.proof(method, url, token=token, **changes)}

    def assertion(self, client_id: str, audience: Any, *, key: Any = None, alg: str = "ES256", **claims: Any) -> str:
        now = int(time.time())
        made = {"iss": client_id, "sub": client_id, "aud": audience, "iat": now, "exp": now + 60, "jti": str(uuid4())}
        return jwt.encode(_without_none(made | claims), key or self.private, alg)

    def credentials(self, client_id: str, audience: Any, **changes: Any) -> dict[str, str]:
        """As form parameters."""
        return {
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self.assertion(client_id, audience, **changes),
        }


def _without_none(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
