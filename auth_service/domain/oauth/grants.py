"""The grants that /token knows. There is no implicit and no password grant (RFC 9700 sections 2.1.2 and 2.4)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749 import (
    AuthorizationCodeGrant,
    ClientCredentialsGrant,
    InvalidScopeError,
    RefreshTokenGrant,
    UnauthorizedClientError,
)

from auth_service.domain import accounts, codes, families, scopes, sessions
from auth_service.domain.oauth.errors import InvalidGrant, ReusedGrant
from auth_service.domain.tokens import Use
from auth_service.models import TokenFamily, User

if TYPE_CHECKING:
    from auth_service.domain.oauth.server import TokenServer

Answer = tuple[int, dict[str, Any], list[tuple[str, str]]]
CONFIDENTIAL = ["private_key_jwt", "client_secret_basic", "client_secret_post"]
ANY_CLIENT = [*CONFIDENTIAL, "none"]


class Grant(ABC):
    """What our grants share: they authenticate the client first, then do all their work in one step."""

    request: Any
    server: TokenServer
    GRANT_TYPE: str

    def validate_token_request(self) -> None:
        client = self.authenticate_token_endpoint_client()  # type: ignore[attr-defined]
        if not client.check_grant_type(self.GRANT_TYPE):
            raise UnauthorizedClientError
        self.request.client = client
        self.request.jkt = self.server.holder(self.request, client)

    def create_token_response(self) -> Answer:
        return 200, self.respond(), []

    @abstractmethod
    def respond(self) -> dict[str, Any]:
        """The token response's members."""

    def _tokens(self, family: TokenFamily, user: User, scope: str, nonce: str | None) -> dict[str, Any]:
        """The signed part of a response: what the client may still have of the scope, and who signed in."""
        session, issuer = self.server.session, self.server.issuer
        granted = [each for each in scope.split() if each in self.request.client.scopes]
        response = issuer.for_user(session, family, user, " ".join(granted), self._use(family.resources))
        if "openid" in granted:
            response["id_token"] = issuer.id_token(session, family, user, response["access_token"], nonce)
        return response

    def _use(self, granted: Sequence[str]) -> Use:
        audience = self.server.resources.choose(granted, self.request.resources)
        return Use(audience=audience, jkt=self.request.jkt)


class CodeRedemption(Grant, AuthorizationCodeGrant):
    """RFC 6749 section 4.1.3 with RFC 7636. Authlib's own step reads, checks and deletes the code one after the
    other, so that two requests may both succeed; here using it is one statement."""

    TOKEN_ENDPOINT_AUTH_METHODS = ANY_CLIENT

    def respond(self) -> dict[str, Any]:
        server, client = self.server, self.request.client
        shown = codes.Presented(
            code=self.request.required("code"),
            client_id=client.client_id,
            redirect_uri=self.request.form.get("redirect_uri", ""),
            code_verifier=self.request.required("code_verifier"),
            jkt=self.request.jkt,
            bind=client.is_public,
        )
        code, family = codes.redeem(server.session, shown, family_life=server.terms.family_life)
        user = active_user(server, family)
        response = self._tokens(family, user, code.scope, code.nonce)
        if client.check_grant_type("refresh_token"):
            response["refresh_token"] = families.first_token(server.session, family)
            response["refresh_token_expires_in"] = families.seconds_left(family)
        return response


class Refresh(Grant, RefreshTokenGrant):
    """RFC 6749 section 6, rotating."""

    TOKEN_ENDPOINT_AUTH_METHODS = ANY_CLIENT

    def respond(self) -> dict[str, Any]:
        family, token = self._rotate(self.request.required("refresh_token"))
        wanted = self.request.form.get("scope", family.scope)
        if not set(wanted.split()) <= set(family.scope.split()):
            raise InvalidScopeError("The scope exceeds what was granted.")
        sessions.touch(self.server.session, family.session_id)
        user = active_user(self.server, family)
        left = families.seconds_left(family)
        return self._tokens(family, user, wanted, None) | {"refresh_token": token, "refresh_token_expires_in": left}

    def _rotate(self, token: str) -> tuple[TokenFamily, str]:
        server = self.server
        try:
            return families.rotate(
                server.session,
                token,
                client_id=self.request.client.client_id,
                grace=server.terms.refresh_grace,
                vault=server.vault,
                jkt=self.request.jkt,
            )
        except families.RefreshReused as error:
            raise ReusedGrant(str(error.detail)) from None
        except families.RefreshRefused as error:
            raise InvalidGrant(str(error.detail)) from None


class ClientCredentials(Grant, ClientCredentialsGrant):
    """RFC 6749 section 4.4: a program on its own account, so nothing that tells of a person."""

    TOKEN_ENDPOINT_AUTH_METHODS = CONFIDENTIAL

    def respond(self) -> dict[str, Any]:
        client = self.request.client
        held = [scope for scope in client.scopes if scope not in scopes.OPENID_SCOPES]
        wanted = self.request.form.get("scope", " ".join(held)).split()
        if not set(wanted) <= set(held):
            raise InvalidScopeError("The scope exceeds what this client may have.")
        use = self._use(self.request.resources)
        return self.server.issuer.for_client(self.server.session, client, " ".join(dict.fromkeys(wanted)), use)


def active_user(server: TokenServer, family: TokenFamily) -> User:
    user = accounts.active(server.session, family.user_id)
    if user is None:
        raise InvalidGrant("The account is not active.")
    return user
