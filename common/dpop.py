"""Proof of possession (RFC 9449): what shows that a request comes from the holder of a token's key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

ALGORITHMS = ("ES256", "EdDSA", "RS256", "PS256")
PAST_SECONDS = 120
FUTURE_SECONDS = 30
MAX_LENGTH = 8192
MAX_JTI = 256
RSA_BITS = range(2048, 4097)

_PUBLIC_MEMBERS = {"EC": ("crv", "x", "y"), "OKP": ("crv", "x"), "RSA": ("e", "n")}
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_DEFAULT_PORTS = {"http": 80, "https": 443}
_CURVES = {"ES256": "P-256", "EdDSA": "Ed25519"}
LIFE_SECONDS = PAST_SECONDS + FUTURE_SECONDS + 1
"""For how long a proof could be shown again."""


class ProofRefused(ValueError):
    """The proof does not hold; the message says why."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof whose signature, method, address and age are right. `jkt` is its key's thumbprint (RFC 7638)."""

    jkt: str
    jti: str
    issued_at: int
    nonce: str | None

    @property
    def key(self) -> bytes:
        """What it is remembered by."""
        return hashlib.sha256(f"{self.jkt} {self.jti}".encode("utf-8", "surrogatepass")).digest()


def check_proof(proof: str, *, method: str, url: str, access_token: str | None = None) -> Proof:
    """RFC 9449 section 4.3, but for replays and nonces. Raises ProofRefused."""
    if len(proof) > MAX_LENGTH:
        raise ProofRefused("The proof is too long.")
    try:
        header = jwt.get_unverified_header(proof)
        key = _key(header)
        claims = jwt.decode(
            proof,
            key.key,
            algorithms=[header["alg"]],
            options={"verify_aud": False, "verify_iat": False, "verify_jti": False, "verify_sub": False},
        )
    except ProofRefused:
        raise
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError, UnicodeError):
        raise ProofRefused("The proof is not a signed dpop+jwt.") from None
    _require_request(claims, method, url)
    _require_fresh(claims)
    if access_token is not None:
        _require_token(claims, access_token)
    nonce = claims.get("nonce")
    return Proof(thumbprint(header["jwk"]), _jti(claims), int(claims["iat"]), nonce if isinstance(nonce, str) else None)


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """RFC 7638, with SHA-256. Raises KeyError for a key that is not one of ours."""
    members = {name: jwk[name] for name in ("kty", *_PUBLIC_MEMBERS[jwk["kty"]])}
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return _base64url(hashlib.sha256(canonical.encode()).digest())


def public_key_problem(jwk: Any) -> str | None:
    """Why this JWK (RFC 7517) cannot be used to verify signatures of somebody else, or None."""
    if not isinstance(jwk, dict) or jwk.get("kty") not in _PUBLIC_MEMBERS:
        return "must be an EC, OKP or RSA key"
    if _PRIVATE_MEMBERS & jwk.keys():
        return "must not contain a private key"
    try:
        key = jwt.PyJWK(dict(jwk))
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):
        return "is not a key that we can use"
    if isinstance(key.key, RSAPublicKey) and key.key.key_size not in RSA_BITS:
        return f"must have {RSA_BITS.start} to {RSA_BITS.stop - 1} bits"
    return None


class Proofs(Protocol):
    """Remembers which proofs were shown, for as long as they could be shown again."""

    def is_new(self, proof: Proof) -> bool:
        """Whether this is the first time; it is remembered."""


class ProofMemory:
    """Of this process alone."""

    def __init__(self, capacity: int = 50_000) -> None:
        self._capacity = capacity
        self._seen: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()

    def is_new(self, proof: Proof) -> bool:
        now = time.monotonic()
        key = proof.key
        with self._lock:
            if key in self._seen:
                return False
            self._forget(now)
            self._seen[key] = now
            return True

    def _forget(self, now: float) -> None:
        """What is too old to pass, and the oldest when there is no more room."""
        while self._seen and (
            len(self._seen) >= self._capacity or now - next(iter(self._seen.values())) > LIFE_SECONDS
        ):
            self._seen.popitem(last=False)


def _key(header: dict[str, Any]) -> jwt.PyJWK:
    jwk = header.get("jwk")
    if str(header.get("typ", "")).lower() != "dpop+jwt" or header.get("alg") not in ALGORITHMS or "crit" in header:
        raise ProofRefused("The proof is not a signed dpop+jwt.")
    if problem := public_key_problem(jwk):
        raise ProofRefused(f"The proof's key {problem}.")
    assert isinstance(jwk, dict)
    if jwk.get("crv") != _CURVES.get(header["alg"]):
        raise ProofRefused("The proof's key does not fit its algorithm.")
    return jwt.PyJWK(jwk, algorithm=header["alg"])


def _require_request(claims: dict[str, Any], method: str, url: str) -> None:
    if claims.get("htm") != method:
        raise ProofRefused("The proof is for another method.")
    htu = claims.get("htu")
    if not isinstance(htu, str) or _comparable(htu) != _comparable(url):
        raise ProofRefused("The proof is for another address.")


def _comparable(url: str) -> tuple[str, str, int | None, str]:
    """Without query and fragment, normalised as RFC 3986 sections 6.2.2 and 6.2.3 have it. Raises ProofRefused."""
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        raise ProofRefused("The proof's address is not one.") from None
    return parts.scheme, parts.hostname or "", port, unquote(parts.path) or "/"


def _require_fresh(claims: dict[str, Any]) -> None:
    issued_at = claims.get("iat")
    if isinstance(issued_at, bool) or not isinstance(issued_at, int | float):
        raise ProofRefused("The proof does not say when it was made.")
    if not -FUTURE_SECONDS <= time.time() - issued_at <= PAST_SECONDS:
        raise ProofRefused("The proof is too old, or from the future.")


def _require_token(claims: dict[str, Any], access_token: str) -> None:
    expected = _base64url(hashlib.sha256(access_token.encode("utf-8", "surrogatepass")).digest())
    if not hmac.compare_digest(str(claims.get("ath", "")).encode("utf-8", "replace"), expected.encode()):
        raise ProofRefused("The proof is for another access token.")


def _jti(claims: dict[str, Any]) -> str:
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI:
        raise ProofRefused("The proof has no usable jti.")
    return jti


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
