"""Refusals at OAuth endpoints, whose bodies are those of RFC 6749 and not problem details."""

from __future__ import annotations

from typing import Self

from authlib.oauth2 import OAuth2Error

from common.errors import DomainError

UNAUTHENTICATED = "invalid_client"


class OAuthRefusal(DomainError):
    """An error response of RFC 6749 section 5.2."""

    status = 400

    def __init__(self, error: str, description: str) -> None:
        challenge = {"WWW-Authenticate": 'Basic realm="bookstore"'} if error == UNAUTHENTICATED else None
        super().__init__(description, headers=challenge)
        self.error = error

    @classmethod
    def of(cls, error: OAuth2Error) -> Self:
        """Authlib's error in our words where its own would tell which clients exist."""
        if error.error == UNAUTHENTICATED:
            return cls(UNAUTHENTICATED, "Client authentication failed.")
        return cls(str(error.error), _DESCRIPTIONS.get(str(error.error), error.description or ""))

    @property
    def http_status(self) -> int:
        return 401 if self.error == UNAUTHENTICATED else self.status

    def body(self) -> dict[str, str]:
        return {"error": self.error, "error_description": self.detail or ""}


class InvalidGrant(OAuthRefusal):
    def __init__(self, description: str) -> None:
        super().__init__("invalid_grant", description)


class ReusedGrant(InvalidGrant):
    """What was found out, and revoked for it, is kept although the request fails."""

    keeps_changes = True


_DESCRIPTIONS = {
    "unsupported_grant_type": "This grant_type is not supported.",
    "unauthorized_client": "This client may not use this grant_type.",
}
