"""Access tokens as the auth service would issue them, signed by a key that only the tests have."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID, uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from common.auth import StaticKeys
from common.ids import new_id

ISSUER = "http://localhost:8000"
LIFETIME_SECONDS = 3600
"""Longer than any run of the tests, however busy the machine is."""
AUDIENCE = "bookstore-api"
KEY_ID = "test-key"
private_key = ec.generate_private_key(ec.SECP256R1())
public_jwk = ECAlgorithm.to_jwk(private_key.public_key(), as_dict=True) | {
    "kid": KEY_ID,
    "alg": "ES256",
    "use": "sig",
}
keys = StaticKeys({"keys": [public_jwk]})

CUSTOMER_SCOPES = (
    "openid",
    "profile",
    "email",
    "cart:write",
    "orders:read",
    "orders:write",
    "reviews:write",
    "uploads:read",
    "uploads:write",
    "suggestions:read",
    "suggestions:write",
)
ADMIN_SCOPES = (
    *CUSTOMER_SCOPES,
    "books:write",
    "stock:write",
    "orders:manage",
    "users:manage",
    "clients:manage",
    "reviews:moderate",
)


def claims(
    *,
    subject: UUID | str | None = None,
    role: str | None = "customer",
    scopes: tuple[str, ...] | list[str] | None = None,
    username: str = "reader",
    **changes: Any,
) -> dict[str, Any]:
    """The claims of a good token; `role=None` is a service's. A change to None leaves the claim out."""
    now = int(time.time())
    default = ADMIN_SCOPES if role == "admin" else CUSTOMER_SCOPES
    made = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(subject or new_id()),
        "client_id": "tests",
        "scope": " ".join(default if scopes is None else scopes),
        "iat": now,
        "exp": now + LIFETIME_SECONDS,
        "jti": str(uuid4()),
    }
    if role:
        made |= {"role": role, "preferred_username": username, "auth_time": now}
        made |= {"sid": str(new_id()), "fid": str(new_id())}
    made |= changes
    return {name: value for name, value in made.items() if value is not None}


def sign(payload: dict[str, Any], *, headers: dict[str, Any] | None = None) -> str:
    return jwt.encode(payload, private_key, "ES256", headers={"typ": "at+jwt", "kid": KEY_ID} | (headers or {}))


def bearer(**kwargs: Any) -> dict[str, str]:
    """The header of a request made with a token of these claims."""
    return {"Authorization": f"Bearer {sign(claims(**kwargs))}"}
