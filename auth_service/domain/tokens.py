"""What we sign: access tokens (RFC 9068) for the services, ID tokens (OpenID Connect Core) for the client."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import jwt
from authlib.oidc.core.util import create_half_hash
from sqlalchemy.orm import Session

from auth_service.domain import scopes
from auth_service.domain.keys import KeyRing
from auth_service.models import Client, TokenFamily, User
from common.ids import new_id


@dataclass(frozen=True, slots=True)
class Issuer:
    """Signs tokens in the name of one authorization server."""

    url: str
    audience: str
    life: timedelta
    keys: KeyRing

    def for_user(self, session: Session, family: TokenFamily, user: User, scope: str) -> dict[str, Any]:
        """A token response (RFC 6749 section 5.1) without a refresh token. The scope shrinks with the role."""
        allowed = scopes.within(scope.split(), user.role)
        claims = {
            "sub": str(user.id),
            "client_id": family.client_id,
            "scope": allowed,
            "role": user.role,
            "preferred_username": user.username,
            "sid": str(family.session_id),
            "fid": str(family.id),
            "auth_time": int(family.authenticated_at.timestamp()),
        }
        return self._response(session, claims)

    def for_client(self, session: Session, client: Client, scope: str) -> dict[str, Any]:
        """A token response for a client by itself: nobody's role, no session."""
        return self._response(session, {"sub": client.client_id, "client_id": client.client_id, "scope": scope})

    def id_token(self, session: Session, family: TokenFamily, user: User, access_token: str, nonce: str | None) -> str:
        signer = self.keys.signer(session)
        claims = self._common_claims(family.client_id) | {
            "sub": str(user.id),
            "sid": str(family.session_id),
            "auth_time": int(family.authenticated_at.timestamp()),
            "at_hash": create_half_hash(access_token, signer.algorithm).decode(),
        }
        if nonce is not None:
            claims["nonce"] = nonce
        return self._sign(session, claims, "JWT")

    def family_of(self, session: Session, access_token: str) -> TokenFamily | None:
        """The family of an access token that we signed, even if it has expired meanwhile."""
        try:
            key = self.keys.find(session, str(jwt.get_unverified_header(access_token).get("kid", "")))
            if key is None:
                return None
            claims = jwt.decode(
                access_token,
                key.key,
                algorithms=[key.algorithm_name],
                options={"verify_exp": False, "verify_aud": False},
            )
            return session.get(TokenFamily, UUID(claims["fid"])) if "fid" in claims else None
        except (jwt.PyJWTError, ValueError):
            return None

    def _response(self, session: Session, claims: dict[str, Any]) -> dict[str, Any]:
        complete = self._common_claims(self.audience) | {"jti": str(new_id())} | claims
        return {
            "access_token": self._sign(session, complete, "at+jwt"),
            "token_type": "Bearer",
            "expires_in": int(self.life.total_seconds()),
            "scope": claims["scope"],
        }

    def _common_claims(self, audience: str) -> dict[str, Any]:
        now = int(time.time())
        return {"iss": self.url, "aud": audience, "iat": now, "exp": now + int(self.life.total_seconds())}

    def _sign(self, session: Session, claims: dict[str, Any], kind: str) -> str:
        signer = self.keys.signer(session)
        headers = {"typ": kind, "kid": signer.kid}
        return jwt.encode(claims, signer.private_key, algorithm=signer.algorithm, headers=headers)
