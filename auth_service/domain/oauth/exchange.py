"""Token exchange (RFC 8693): a service gets a token to call another one on behalf of the person who called it."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749 import BaseGrant, InvalidRequestError, InvalidScopeError, TokenEndpointMixin

from auth_service.domain import standing
from auth_service.domain.oauth.grants import CONFIDENTIAL, Grant
from auth_service.domain.oauth.proofs import InvalidProof
from auth_service.domain.resources import InvalidTarget
from auth_service.domain.tokens import Use
from auth_service.models import TokenFamily, User
from common.revocation import EXCHANGED_CLIENTS, EXCHANGED_FROM

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - the name of a type
_ACCEPTED = (ACCESS_TOKEN, "urn:ietf:params:oauth:token-type:jwt")
MOST_ACTORS = 5


class TokenExchange(Grant, BaseGrant, TokenEndpointMixin):
    """Delegation, not impersonation: `act` names who acts, and who acted before (section 4.1).

    The new token holds no more than the old one, is for no more, and ends no later; what ends the old one ends it as
    well.
    """

    GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"
    TOKEN_ENDPOINT_AUTH_METHODS = CONFIDENTIAL

    def respond(self) -> dict[str, Any]:
        if self.request.form.get("requested_token_type", ACCESS_TOKEN) not in _ACCEPTED:
            raise InvalidRequestError("Only access tokens are issued here.")
        claims = self._read("subject_token")
        found = standing.of_person(self.server.session, claims)
        if found is None:
            raise InvalidRequestError("The subject_token is not, or no longer, that of a person.")
        self._require_addressee(claims)
        self._require_key_for(claims)
        response = self._delegated(claims, *found)
        return response | {"issued_token_type": ACCESS_TOKEN}

    def _delegated(self, claims: dict[str, Any], family: TokenFamily, user: User) -> dict[str, Any]:
        client_id = self.request.client.client_id
        use = Use(
            audience=self._target(claims),
            jkt=self.request.jkt,
            beside={
                "client_id": client_id,
                "act": self._act(claims),
                EXCHANGED_FROM: _chain(claims),
                EXCHANGED_CLIENTS: [claims["client_id"], *claims.get(EXCHANGED_CLIENTS, ())],
            },
            ends_at=claims["exp"],
        )
        return self.server.issuer.for_user(self.server.session, family, user, self._scope(claims), use)

    def _require_addressee(self, claims: dict[str, Any]) -> None:
        """A token for one service is that service's to exchange: to anybody else it came by accident, or by theft."""
        audience = claims["aud"]
        if not self.server.resources.is_api(audience) and audience != self.request.client.client_id:
            raise InvalidRequestError("The subject_token is for another service.")

    def _require_key_for(self, claims: dict[str, Any]) -> None:
        """What was worth nothing without a key stays so. The person's key is out of reach: it is the client's own."""
        if "cnf" in claims and self.request.jkt is None:
            raise InvalidProof("The subject_token is bound to a key: send a DPoP proof, to bind the new one to yours.")

    def _target(self, claims: dict[str, Any]) -> str:
        resources = self.server.resources
        named = resources.known([*self.request.resources, *self.request.form.get("audience", "").split()])
        target = resources.choose(named, named)
        if resources.is_api(target) and not resources.is_api(claims["aud"]):
            raise InvalidTarget("The subject_token is for one service: name another one, the API as a whole is more.")
        return target

    def _scope(self, claims: dict[str, Any]) -> str:
        held = [each for each in claims["scope"].split() if each in self.request.client.scopes]
        wanted = self.request.form.get("scope", " ".join(held)).split()
        if not wanted or not set(wanted) <= set(held):
            raise InvalidScopeError("The scope exceeds that of the subject_token, or what this client may have.")
        return " ".join(dict.fromkeys(wanted))

    def _act(self, claims: dict[str, Any]) -> dict[str, Any]:
        if "actor_token" in self.request.form:
            self._require_own_actor()
        elif "actor_token_type" in self.request.form:
            raise InvalidRequestError("There is an actor_token_type without an actor_token.")
        actor: dict[str, Any] = {"sub": self.request.client.client_id}
        before = claims.get("act")
        if before is None:
            return actor
        if _depth(before) >= MOST_ACTORS:
            raise InvalidRequestError("The subject_token was exchanged too often.")
        return actor | {"act": before}

    def _require_own_actor(self) -> None:
        """A client acts for nobody but itself, whatever other token it holds."""
        if self._read("actor_token").get("sub") != self.request.client.client_id:
            raise InvalidRequestError("The actor_token is not the client's own.")

    def _read(self, name: str) -> dict[str, Any]:
        """The claims of one of the request's tokens. Raises InvalidRequestError."""
        token = self.request.required(name)
        if self.request.required(f"{name}_type") not in _ACCEPTED:
            raise InvalidRequestError(f"The {name} has to be an access token.")
        claims = self.server.issuer.read(self.server.session, token, kind="at+jwt")
        if claims is None or not standing.is_good(self.server.session, claims):
            raise InvalidRequestError(f"The {name} is not valid.")
        return claims


def _chain(claims: dict[str, Any]) -> list[str]:
    """What ends the new token as well: the end of the old one, and of what that was got for."""
    return [claims["jti"], *claims.get(EXCHANGED_FROM, ())]


def _depth(act: dict[str, Any] | None) -> int:
    return 0 if act is None else 1 + _depth(act.get("act"))
