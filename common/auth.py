"""Who is asking: RFC 9068 access tokens, verified against the issuer's published keys, and what a route demands."""

from __future__ import annotations

import functools
import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar, cast
from urllib.parse import quote
from uuid import UUID

import jwt
import requests
from flask import current_app, g, request
from jwt import PyJWK

from common import dpop
from common.api import operation
from common.assurance import TWO_FACTORS
from common.errors import Forbidden, Unauthorized, Unavailable
from common.upkeep import Upkeep

ALGORITHMS = ("EdDSA", "ES256", "RS256")
REQUIRED_CLAIMS = ["iss", "aud", "exp", "iat", "sub", "client_id", "jti"]
LEEWAY_SECONDS = 5

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Principal:
    """The verified bearer of an access token: a person by way of a client, or a client by itself."""

    subject: str
    client_id: str
    scopes: frozenset[str]
    role: str | None = None
    username: str | None = None
    session_id: str | None = None
    claims: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def is_user(self) -> bool:
        return self.role is not None

    @property
    def user_id(self) -> UUID:
        """Raises Forbidden for a service, which is nobody's account."""
        if not self.is_user:
            raise Forbidden("Only a person can do this.")
        return UUID(self.subject)

    @property
    def key_thumbprint(self) -> str | None:
        """Of the key that the token is bound to (RFC 9449 section 6.1), if it is; empty for a binding unknown to us."""
        if "cnf" not in self.claims:
            return None
        confirmation = self.claims["cnf"]
        return str(confirmation.get("jkt", "")) if isinstance(confirmation, dict) else ""

    def has(self, scope: str) -> bool:
        return scope in self.scopes

    @property
    def is_sure(self) -> bool:
        """Whether a second factor was shown. A service has none to show."""
        return not self.is_user or self.claims.get("acr") == TWO_FACTORS


@dataclass(frozen=True, slots=True)
class Presented:
    """How an access token came with a request, by its header fields. `url` is the one that the client sees."""

    authorization: str | None
    proof: str | None
    method: str
    url: str


class KeySource(Protocol):
    def find(self, kid: str) -> PyJWK | None:
        """The key of this id, if the issuer publishes one. Raises Unavailable when it cannot be asked."""


class StaticKeys:
    """Keys known beforehand."""

    def __init__(self, jwks: dict[str, Any]) -> None:
        self._keys = parse_jwks(jwks)

    def find(self, kid: str) -> PyJWK | None:
        return self._keys.get(kid)


class JwksKeys:
    """The issuer's keys, fetched when one is asked for that is not known, but not more often than allowed.

    Known ones are fetched anew beside the requests, and no request that needs one waits for an issuer that hangs. Only
    after an idle time, when they may be older than `max_age`, the first request waits: the key may be withdrawn.
    """

    def __init__(
        self,
        url: str,
        *,
        min_interval: float = 0.5,
        max_age: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Unknown key ids cause at most one fetch per `min_interval` (seconds)."""
        self._url = url
        self._keys: dict[str, PyJWK] = {}
        self._upkeep = Upkeep("jwks", self._fetch, fresh=max_age * 0.8, good=max_age, pause=min_interval, clock=clock)

    def find(self, kid: str) -> PyJWK | None:
        if kid in self._keys:
            self._upkeep.keep_up()
        else:
            self._upkeep.renew_now()
        key = self._keys.get(kid)
        if key is None and self._upkeep.is_failing:
            raise Unavailable("The sign-in service cannot be reached.")
        return key

    def _fetch(self) -> None:
        answer = requests.get(self._url, timeout=(1, 3))
        answer.raise_for_status()
        self._keys = parse_jwks(answer.json())


def parse_jwks(document: dict[str, Any]) -> dict[str, PyJWK]:
    """A JWK set (RFC 7517 section 5) by key id: signature keys of our algorithms only."""
    keys = {}
    for each in document["keys"]:
        if each.get("kty") != "oct" and each.get("use", "sig") == "sig" and each.get("kid"):
            key = PyJWK(each)
            if key.algorithm_name in ALGORITHMS:
                keys[each["kid"]] = key
    return keys


class Refusals(Protocol):
    def refuse(self, claims: Mapping[str, Any]) -> bool:
        """Whether a token of these claims was revoked."""


class _Verified(NamedTuple):
    expires: float
    kid: str
    principal: Principal


class TokenVerifier:
    """Verifies access tokens and remembers the good ones, by hash, until they expire or their key is withdrawn."""

    def __init__(
        self,
        *,
        issuer: str,
        audience: str | Sequence[str],
        keys: KeySource,
        revocations: Refusals | None = None,
        proofs: dpop.Proofs | None = None,
        capacity: int = 10_000,
    ) -> None:
        """`audience` names all that this verifier answers to: a token needs to be for one of them.

        `proofs` remembers those of bound tokens; without it, this process does for itself.
        """
        self._issuer = issuer
        self._audience = audience
        self._keys = keys
        self._revocations = revocations
        self._capacity = capacity
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()
        self._lock = threading.Lock()
        self._proofs: dpop.Proofs = proofs or dpop.ProofMemory()

    def authenticate(self, presented: Presented) -> Principal | None:
        """Who sent the request; None without a token. Raises Unauthorized, and Unavailable without keys.

        A token that is bound to a key counts only as `DPoP`, with a new proof for this very request
        (RFC 9449 section 7); any other only as `Bearer`.
        """
        found = credentials(presented.authorization)
        if found is None:
            return None
        scheme, token = found
        principal = self.verify(token)
        if (scheme == "dpop") != (principal.key_thumbprint is not None):
            raise _wrong_scheme(scheme)
        if principal.key_thumbprint is not None:
            self._require_possession(principal.key_thumbprint, token, presented)
        return principal

    def _require_possession(self, jkt: str, token: str, presented: Presented) -> None:
        try:
            proof = dpop.check_proof(
                presented.proof or "", method=presented.method, url=presented.url, access_token=token
            )
        except dpop.ProofRefused as error:
            raise _invalid_proof(str(error)) from None
        if proof.jkt != jkt:
            raise _invalid_proof("The proof is made with another key than the token's.")
        if not self._proofs.is_new(proof):
            raise _invalid_proof("The proof was shown before.")

    def verify(self, token: str) -> Principal:
        """Whom the token is about, whoever sent it. Raises Unauthorized, and Unavailable without keys."""
        principal = self._signed(token)
        if self.is_revoked(principal.claims):
            raise _invalid_token("The access token was revoked.")
        return principal

    def is_revoked(self, claims: Mapping[str, Any]) -> bool:
        """Whether a token of these claims was ended before its time."""
        return self._revocations is not None and self._revocations.refuse(claims)

    def still_holds(self, principal: Principal) -> bool:
        """Whether a token that was verified has neither expired nor been revoked since: cheap enough to ask often."""
        if float(principal.claims["exp"]) <= time.time():
            return False
        return not self.is_revoked(principal.claims)

    def _signed(self, token: str) -> Principal:
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        remembered = self._verified.get(digest)
        if remembered and remembered.expires > time.time() and self._keys.find(remembered.kid):
            return remembered.principal
        verified = self._decode(token)
        self._remember(digest, verified)
        return verified.principal

    def _decode(self, token: str) -> _Verified:
        try:
            header = jwt.get_unverified_header(token)
            key = self._signing_key(header)
            claims = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm_name],
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_SECONDS,
                options={"require": REQUIRED_CLAIMS},
            )
        except jwt.ExpiredSignatureError:
            raise _invalid_token("The access token has expired.") from None
        except (jwt.PyJWTError, ValueError, TypeError, UnicodeError):
            raise _invalid_token("The access token is not valid.") from None
        return _Verified(float(claims["exp"]), header["kid"], _principal(claims))

    def _signing_key(self, header: dict[str, Any]) -> PyJWK:
        """The published key that the header names: type, algorithm and key must fit each other (RFC 8725)."""
        kind = str(header.get("typ", "")).lower().removeprefix("application/")
        if kind != "at+jwt" or header.get("alg") not in ALGORITHMS or "crit" in header:
            raise jwt.InvalidTokenError
        key = self._keys.find(str(header.get("kid", "")))
        if key is None or key.algorithm_name != header["alg"]:
            raise jwt.InvalidTokenError
        return key

    def _remember(self, digest: bytes, verified: _Verified) -> None:
        with self._lock:
            self._verified[digest] = verified
            while len(self._verified) > self._capacity:
                self._verified.popitem(last=False)


def _invalid_token(detail: str) -> Unauthorized:
    return Unauthorized(detail, error="invalid_token")


def _principal(claims: dict[str, Any]) -> Principal:
    return Principal(
        subject=claims["sub"],
        client_id=str(claims["client_id"]),
        scopes=frozenset(str(claims.get("scope", "")).split()),
        role=claims.get("role"),
        username=claims.get("preferred_username"),
        session_id=claims.get("sid"),
        claims=claims,
    )


def credentials(authorization: str | None) -> tuple[str, str] | None:
    """Scheme and token of an Authorization header (RFC 6750 section 2.1, RFC 9449 section 7.1).

    Raises Unauthorized for another scheme.
    """
    if not authorization:
        return None
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() not in ("bearer", "dpop") or not token.strip():
        raise _invalid_token("Send the access token as Authorization: Bearer, or DPoP.")
    return scheme.lower(), token.strip()


def _wrong_scheme(scheme: str) -> Unauthorized:
    if scheme == "dpop":
        return _dpop_challenge("The access token is not bound to a key; send it as Bearer.", "invalid_token")
    return _dpop_challenge("The access token is bound to a key; send it as DPoP, with a proof.", "invalid_token")


def _invalid_proof(detail: str) -> Unauthorized:
    return _dpop_challenge(detail, "invalid_dpop_proof")


def _dpop_challenge(detail: str, error: str) -> Unauthorized:
    """RFC 9449 section 7.1."""
    refused = Unauthorized(detail, error=error)
    refused.headers["WWW-Authenticate"] = f'DPoP realm="bookstore", error="{error}", algs="{" ".join(dpop.ALGORITHMS)}"'
    return refused


def public(view: View) -> View:
    """Anybody may ask. A token that is sent along is verified all the same."""
    operation(view).is_public = True

    @functools.wraps(view)
    def allow(*args: Any, **kwargs: Any) -> Any:
        principal()
        return view(*args, **kwargs)

    return cast(View, allow)


def foreign_credentials(view: View) -> View:
    """Anybody may ask, and the Authorization header is not for us to judge.

    It may authenticate an OAuth client, say, or be a token that is no use any more and is about to be replaced.
    """
    operation(view).is_public = True
    return view


def requires(*scopes: str) -> Callable[[View], View]:
    """Only for a bearer whose token holds all these scopes."""
    return _guard(scopes, people_only=False)


def requires_user(*scopes: str) -> Callable[[View], View]:
    """As `requires`, and the bearer is a person."""
    return _guard(scopes, people_only=True)


def requires_user_with_any(*scopes: str) -> Callable[[View], View]:
    """The bearer is a person, with one of these scopes at least; the view looks which."""
    return _guard(scopes, people_only=True, any_scope=True)


def _guard(scopes: tuple[str, ...], *, people_only: bool, any_scope: bool = False) -> Callable[[View], View]:
    def decorate(view: View) -> View:
        operation(view).scopes, operation(view).any_scope = scopes, any_scope

        @functools.wraps(view)
        def check(*args: Any, **kwargs: Any) -> Any:
            bearer = current_user()
            enough = tuple(filter(bearer.has, scopes))[:1] if any_scope else ()
            require(bearer, enough or scopes, people_only=people_only)
            return view(*args, **kwargs)

        return cast(View, check)

    return decorate


def require(bearer: Principal, scopes: tuple[str, ...], *, people_only: bool) -> None:
    """Raises Forbidden, or Unauthorized for want of a second factor. Needs an application's context."""
    if not all(map(bearer.has, scopes)):
        raise _insufficient_scope(scopes)
    if people_only and not bearer.is_user:
        raise Forbidden("Only a person can do this.")
    if not bearer.is_sure and not _step_up_scopes().isdisjoint(scopes):
        raise SecondFactorNeeded


class SecondFactorNeeded(Unauthorized):
    """RFC 9470 section 3: the client asks for this level at /authorize, and comes back with a new token."""

    code = "second_factor_required"

    def __init__(self) -> None:
        super().__init__("Sign in with a second factor to do this.", error="insufficient_user_authentication")
        self.headers["WWW-Authenticate"] += f', acr_values="{TWO_FACTORS}"'


def _step_up_scopes() -> frozenset[str]:
    configured: frozenset[str] = current_app.extensions["config"].step_up_scopes
    return configured


def _insufficient_scope(scopes: tuple[str, ...]) -> Forbidden:
    """RFC 6750 section 3.1."""
    needed = " ".join(scopes)
    challenge = f'Bearer realm="bookstore", error="insufficient_scope", scope="{needed}"'
    return Forbidden(f"This needs the scope {needed}.", headers={"WWW-Authenticate": challenge})


def principal() -> Principal | None:
    """The request's bearer, or None when it came without a token. Raises Unauthorized for a bad one."""
    if "principal" not in g:
        verifier: TokenVerifier = current_app.extensions["token_verifier"]
        g.principal = verifier.authenticate(_presented())
    return cast(Principal | None, g.principal)


def _presented() -> Presented:
    """The request as its sender saw it: at the public origin, whatever name this service has inside."""
    url = current_app.extensions["config"].public_url + quote(request.path)
    headers = request.headers
    return Presented(headers.get("Authorization"), headers.get("DPoP"), request.method, url)


def current_user() -> Principal:
    """The request's bearer. Raises Unauthorized when there is none."""
    bearer = principal()
    if bearer is None:
        raise Unauthorized("Sign in first.")
    return bearer
