"""Signing keys: one of each algorithm in use is active, all are published, and the private halves rest encrypted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt import PyJWK
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from auth_service.domain.secrecy import Vault, digest
from auth_service.models import SigningKey
from common.ids import new_id

ALGORITHMS = ("ES256", "EdDSA", "RS256")
PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Signer:
    """The active key, ready to sign with."""

    kid: str
    algorithm: str
    private_key: PrivateKey


class KeyRing:
    """Finds the active key for each signature, so that a rotation takes effect at once in every process.

    Only decrypting is remembered: a key of one id never changes.
    """

    def __init__(self, vault: Vault, algorithm: str) -> None:
        self.vault = vault
        self.algorithm = algorithm
        self._opened: dict[str, Signer] = {}

    def signer(self, session: Session, algorithm: str | None = None) -> Signer:
        """The active key of this algorithm (nothing: the usual one), made when it is asked for first."""
        wanted = algorithm or self.algorithm
        row = self._active(session, wanted) or self._create_first(session, wanted)
        if row.kid not in self._opened:
            self._opened[row.kid] = Signer(row.kid, row.algorithm, self._open(row.private_key))
        return self._opened[row.kid]

    def jwks(self, session: Session) -> dict[str, Any]:
        """The published set (RFC 7517 section 5)."""
        keys = session.scalars(select(SigningKey.public_jwk).order_by(SigningKey.created_at.desc())).all()
        return {"keys": list(keys)}

    def find(self, session: Session, kid: str) -> PyJWK | None:
        jwk = session.scalar(select(SigningKey.public_jwk).where(SigningKey.kid == kid))
        return PyJWK(jwk) if jwk else None

    def _active(self, session: Session, algorithm: str) -> SigningKey | None:
        active = select(SigningKey).where(SigningKey.state == "active", SigningKey.algorithm == algorithm)
        return session.scalar(active)

    def _create_first(self, session: Session, algorithm: str) -> SigningKey:
        session.execute(text("SELECT pg_advisory_xact_lock(hashtext(current_schema() || '.signing_keys'))"))
        created = self._active(session, algorithm)
        if created is None:
            created = self.generate("active", algorithm)
            session.add(created)
            session.flush()
        return created

    def generate(self, state: str, algorithm: str) -> SigningKey:
        """A new key pair, its private half encrypted; not stored yet."""
        private = _new_private_key(algorithm)
        kid = digest(str(new_id())).hex()[:16]
        return SigningKey(
            kid=kid,
            algorithm=algorithm,
            public_jwk=_public_jwk(private) | {"kid": kid, "alg": algorithm, "use": "sig"},
            private_key=self.vault.encrypt(_pem(private)),
            state=state,
        )

    def _open(self, sealed: bytes) -> PrivateKey:
        opened = serialization.load_pem_private_key(self.vault.decrypt(bytes(sealed)), password=None)
        assert isinstance(opened, PrivateKey)
        return opened


def _new_private_key(algorithm: str) -> PrivateKey:
    if algorithm == "RS256":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1())


def _pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _public_jwk(key: PrivateKey) -> dict[str, Any]:
    if isinstance(key, rsa.RSAPrivateKey):
        jwk = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    elif isinstance(key, ed25519.Ed25519PrivateKey):
        jwk = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {name: value for name, value in jwk.items() if name != "key_ops"}
