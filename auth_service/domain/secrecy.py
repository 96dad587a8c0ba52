"""Secrets: those that we only recognise (hashed), those that we must read again (encrypted), and proofs (MACs)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def digest(token: str) -> bytes:
    """How a random token is kept. It has too much entropy to need a slow hash."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class Vault:
    """Derives, from the keys in the environment, one key for each purpose."""

    def __init__(self, keys: Sequence[str]) -> None:
        """The first key encrypts and signs; the others can still decrypt."""
        self._keys = tuple(keys)
        fernets = [Fernet(base64.urlsafe_b64encode(_derive(key, "at rest"))) for key in keys]
        self._first, self._fernet = fernets[0], MultiFernet(fernets)
        self._mac_keys: dict[str, bytes] = {}

    def encrypt(self, plain: bytes) -> bytes:
        return self._fernet.encrypt(plain)

    def decrypt(self, sealed: bytes) -> bytes:
        """Raises cryptography.fernet.InvalidToken when none of the keys fits."""
        return self._fernet.decrypt(sealed)

    def is_current(self, sealed: bytes) -> bool:
        """Whether it is encrypted with the first key."""
        try:
            self._first.decrypt(sealed)
        except InvalidToken:
            return False
        return True

    def mac(self, purpose: str, message: str) -> str:
        """A code over the message that only we can make; one purpose's are worth nothing for another."""
        if purpose not in self._mac_keys:
            self._mac_keys[purpose] = _derive(self._keys[0], purpose)
        code = hmac.digest(self._mac_keys[purpose], message.encode("utf-8", "surrogatepass"), "sha256")
        return base64.urlsafe_b64encode(code).rstrip(b"=").decode()


def _derive(key: str, purpose: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=b"bookstore auth", info=purpose.encode()).derive(key.encode())
