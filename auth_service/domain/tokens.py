"""What we sign: access tokens (RFC 9068) for the services, ID tokens (OpenID Connect Core) for the client."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import jwt
from authlib.oidc.core.util import create_half_hash
from sqlalchemy.orm import Session

from auth_service.domain import families, scopes
from auth_service.domain.keys import KeyRing, Signer
from auth_service.domain.oauth import claims as told
from auth_service.models import Client, TokenFamily, User
from common import assurance
from common.ids import new_id

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
LOGOUT_LIFE = 120


@dataclass(frozen=True, slots=True)
class Use:
    """What an access token is for (nothing: the store's own API), and by the holder of which key.

    `beside` are further claims, and `ends_at` an earlier end than usual, in Unix time.
    """

    audience: str = ""
    jkt: str | None = None
    beside: dict[str, Any] = field(default_factory=dict)
    ends_at: int | None = None


PLAIN = Use()


@dataclass(frozen=True, slots=True)
class Issuer:
    """Signs tokens in the name of one authorization server."""

    url: str
    audience: str
    life: timedelta
    keys: KeyRing

    def for_user(
        self, session: Session, family: TokenFamily, user: User, scope: str, use: Use = PLAIN
    ) -> dict[str, Any]:
        """A token response (RFC 6749 section 5.1) without a refresh token. The scope shrinks with the role."""
        allowed = scopes.within(scope.split(), user.role)
        claims = {
            "sub": str(user.id),
            "client_id": family.client_id,
            "scope": allowed,
            "role": user.role,
            "fid": str(family.id),
            "auth_time": int(family.authenticated_at.timestamp()),
            "acr": assurance.acr(family.amr),
            "amr": family.amr,
        }
        if "profile" in allowed.split():
            claims["preferred_username"] = user.username
        if not families.outlives(family):  # verifiers refuse what names a session that has ended
            claims["sid"] = str(family.session_id)
        return self._response(session, claims, use)

    def for_client(self, session: Session, client: Client, scope: str, use: Use = PLAIN) -> dict[str, Any]:
        """A token response for a client by itself: nobody's role, no session."""
        return self._response(session, {"sub": client.client_id, "client_id": client.client_id, "scope": scope}, use)

    def id_token(self, session: Session, family: TokenFamily, user: User, access_token: str, nonce: str | None) -> str:
        client = session.get(Client, family.client_id)
        signer = self.keys.signer(session, client.id_token_signed_response_alg if client else None)
        claims = self._common_claims(family.client_id) | {
            "sub": str(user.id),
            "sid": str(family.session_id),
            "auth_time": int(family.authenticated_at.timestamp()),
            "acr": assurance.acr(family.amr),
            "amr": family.amr,
            "at_hash": create_half_hash(access_token, signer.algorithm).decode(),
        }
        if nonce is not None:
            claims["nonce"] = nonce
        named = told.still_allowed(family.claims.get("id_token", ()), client)
        return self._sign(session, told.about(user, named) | claims, "JWT", signer)

    def logout_token(self, session: Session, client_id: str, subject: UUID, session_id: UUID) -> str:
        """OpenID Connect Back-Channel Logout section 2.4; signed as the client's ID tokens are (section 2.6)."""
        client = session.get(Client, client_id)
        signer = self.keys.signer(session, client.id_token_signed_response_alg if client else None)
        claims = {"sub": str(subject), "sid": str(session_id), "jti": str(new_id()), "events": {LOGOUT_EVENT: {}}}
        common = self._common_claims(client_id)
        return self._sign(session, common | claims | {"exp": common["iat"] + LOGOUT_LIFE}, "logout+jwt", signer)

    def read(self, session: Session, token: str, *, kind: str, expired_too: bool = False) -> dict[str, Any] | None:
        """The claims of a token of this type that we signed, for whatever audience."""
        try:
            header = jwt.get_unverified_header(token)
            key = self.keys.find(session, str(header.get("kid", "")))
            if key is None or header.get("typ") != kind:
                return None
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm_name],
                issuer=self.url,
                options={"verify_exp": not expired_too, "verify_aud": False},
            )
        except (jwt.PyJWTError, ValueError):
            return None
        return claims

    def _response(self, session: Session, claims: dict[str, Any], use: Use) -> dict[str, Any]:
        complete = self._common_claims(self._audience(use)) | {"jti": str(new_id())} | claims | use.beside
        if use.ends_at is not None:
            complete["exp"] = min(complete["exp"], use.ends_at)
        if use.jkt is not None:
            complete["cnf"] = {"jkt": use.jkt}
        return {
            "access_token": self._sign(session, complete, "at+jwt"),
            "token_type": "Bearer" if use.jkt is None else "DPoP",
            "expires_in": complete["exp"] - complete["iat"],
            "scope": complete["scope"],
        }

    def _audience(self, use: Use) -> str | list[str]:
        """An address of the API is named as it was asked for (RFC 9068 section 3), beside the API as a whole."""
        audience = use.audience or self.audience
        return [self.url, audience] if audience.startswith(f"{self.url}/") else audience

    def _common_claims(self, audience: str | list[str]) -> dict[str, Any]:
        now = int(time.time())
        return {"iss": self.url, "aud": audience, "iat": now, "exp": now + int(self.life.total_seconds())}

    def _sign(self, session: Session, claims: dict[str, Any], kind: str, signer: Signer | None = None) -> str:
        signer = signer or self.keys.signer(session)
        headers = {"typ": kind, "kid": signer.kid}
        return jwt.encode(claims, signer.private_key, algorithm=signer.algorithm, headers=headers)
