"""Token revocation (RFC 7009). A token takes the whole of its client's family with it; where there is none, it ends
alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from authlib.oauth2.rfc6749 import InvalidGrantError
from authlib.oauth2.rfc7009 import RevocationEndpoint

from auth_service.domain import families, revocations
from auth_service.domain.oauth.grants import ANY_CLIENT
from auth_service.models import Client, TokenFamily

if TYPE_CHECKING:
    from auth_service.domain.oauth.server import TokenServer


class Revocation(RevocationEndpoint):
    """The hint is not looked at: both kinds of token are easily told apart (RFC 7009 section 2.1 allows it)."""

    server: TokenServer
    CLIENT_AUTH_METHODS = ANY_CLIENT

    def authenticate_token(self, request: Any, client: Client) -> TokenFamily | dict[str, Any] | None:
        """What is to end: the family, or the claims of a token that ends alone."""
        token = request.required("token")
        family = families.of_token(self.server.session, token)
        if family is not None:
            _require_own(family.client_id, client)
            return family
        claims = self.server.issuer.read(self.server.session, token, kind="at+jwt", expired_too=True)
        if claims is None:
            return None
        _require_own(claims["client_id"], client)
        return self._own_family(claims, client) or claims

    def _own_family(self, claims: dict[str, Any], client: Client) -> TokenFamily | None:
        """A machine's token has none, and one that was got by exchange is of a family of somebody else's."""
        family = self.server.session.get(TokenFamily, UUID(claims["fid"])) if "fid" in claims else None
        return family if family is not None and family.client_id == client.client_id else None

    def revoke_token(self, token: TokenFamily | dict[str, Any], request: Any) -> None:
        if isinstance(token, TokenFamily):
            families.revoke(self.server.session, token.id, "revoked_by_client")
        else:
            revocations.end_token(self.server.session, token)


def _require_own(client_id: str, client: Client) -> None:
    if client_id != client.client_id:
        raise InvalidGrantError("The token was issued to another client.")
