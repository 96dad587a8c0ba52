"""Speaking with the providers that people may sign in with: Google by OpenID Connect, GitHub by OAuth 2.

Authlib's client does the protocol. Nothing here touches the database, so that no transaction waits for a provider.
"""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from typing import Any
from urllib.parse import quote

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from auth_service.config import AuthConfig, Federation
from auth_service.domain.identities import Foreign
from common.errors import BadGateway, Unauthorized

TIMEOUT = (3, 5)
SIGNED_BY = ["RS256", "ES256"]


class ProviderFailed(BadGateway):
    """The provider cannot be reached, or answers what nobody can use."""

    code = "provider_failed"


class Refused(Unauthorized):
    """What came back proves nothing."""

    code = "federation_refused"


def new_verifier() -> str:
    return secrets.token_urlsafe(48)


class Provider(ABC):
    """One provider; `redirect_uri` is where it sends people back to."""

    name: str
    scope: str

    def __init__(self, settings: Federation, redirect_uri: str) -> None:
        self.settings = settings
        self.redirect_uri = redirect_uri

    def address(self, *, state: str, nonce: str, verifier: str) -> str:
        """Where the person is sent. Raises ProviderFailed."""
        client = self._client(code_challenge_method="S256")
        extra = {"nonce": nonce} if "openid" in self.scope else {}
        url, _ = client.create_authorization_url(
            self._endpoints()["authorization_endpoint"], state=state, code_verifier=verifier, **extra
        )
        return str(url)

    def who(self, *, code: str, nonce: str, verifier: str) -> Foreign:
        """Who came back with this code. Raises ProviderFailed or Refused."""
        client = self._client()
        try:
            token = client.fetch_token(
                self._endpoints()["token_endpoint"], code=code, code_verifier=verifier, timeout=TIMEOUT
            )
            return self._identity(client, token, nonce)
        except (AuthlibBaseError, JoseError) as error:
            raise Refused("The sign-in was not confirmed. Please try again.") from error
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            raise ProviderFailed("The sign-in could not be completed. Please try again later.") from error

    def _client(self, **options: Any) -> OAuth2Session:
        return OAuth2Session(
            self.settings.client_id,
            self.settings.client_secret,
            scope=self.scope,
            redirect_uri=self.redirect_uri,
            **options,
        )

    @abstractmethod
    def _endpoints(self) -> dict[str, Any]: ...

    @abstractmethod
    def _identity(self, client: OAuth2Session, token: dict[str, Any], nonce: str) -> Foreign: ...


class Google(Provider):
    """OpenID Connect Core; the identity is that of the ID token."""

    name = "google"
    scope = "openid email profile"

    def _endpoints(self) -> dict[str, Any]:
        document = _get_json(f"{self.settings.url}/.well-known/openid-configuration")
        if document.get("issuer") != self.settings.url:
            raise ProviderFailed("The provider's description is that of another.")
        return document

    def _identity(self, client: OAuth2Session, token: dict[str, Any], nonce: str) -> Foreign:
        keys = KeySet.import_key_set(_get_json(self._endpoints()["jwks_uri"]))
        claims = jwt.decode(token["id_token"], keys, algorithms=SIGNED_BY).claims
        registry = jwt.JWTClaimsRegistry(
            leeway=30,
            iss={"essential": True, "value": self.settings.url},
            aud={"essential": True, "value": self.settings.client_id},
            nonce={"essential": True, "value": nonce},
            exp={"essential": True},
            sub={"essential": True},
        )
        registry.validate(claims)
        return Foreign(
            self.name,
            str(claims["sub"]),
            str(claims.get("email", "")),
            claims.get("email_verified") is True,
            str(claims.get("name", "")).replace(" ", ""),
        )


class GitHub(Provider):
    """OAuth 2; the identity is what the API tells the bearer of the token."""

    name = "github"
    scope = "read:user user:email"

    def _endpoints(self) -> dict[str, Any]:
        base = f"{self.settings.url}/login/oauth"
        return {"authorization_endpoint": f"{base}/authorize", "token_endpoint": f"{base}/access_token"}

    def _identity(self, client: OAuth2Session, token: dict[str, Any], nonce: str) -> Foreign:
        user = self._ask(client, "/user")
        primary: dict[str, Any] = next((each for each in self._ask(client, "/user/emails") if each["primary"]), {})
        return Foreign(
            self.name,
            str(int(user["id"])),
            str(primary.get("email", "")),
            primary.get("verified") is True,
            str(user.get("login", "")),
        )

    def _ask(self, client: OAuth2Session, path: str) -> Any:
        answer = client.get(f"{self.settings.api_url}{path}", timeout=TIMEOUT)
        answer.raise_for_status()
        return answer.json()


PROVIDERS: dict[str, type[Provider]] = {"google": Google, "github": GitHub}


def provider(config: AuthConfig, name: str) -> Provider | None:
    """The provider, if we have a client there."""
    settings: Federation = (
        getattr(config, name) if name in PROVIDERS else Federation(client_id="", client_secret="", url="")
    )
    redirect_uri = f"{config.public_url}/api/v1/auth/{quote(name)}/callback"
    return PROVIDERS[name](settings, redirect_uri) if settings.is_configured else None


def offered(config: AuthConfig) -> list[str]:
    return [name for name in PROVIDERS if provider(config, name) is not None]


def _get_json(url: str) -> Any:
    try:
        answer = requests.get(url, timeout=TIMEOUT)
        answer.raise_for_status()
        document = answer.json()
    except (requests.RequestException, ValueError) as error:
        raise ProviderFailed("The provider cannot be reached. Please try again later.") from error
    if not isinstance(document, dict):
        raise ProviderFailed("The provider answers what nobody can use.")
    return document
