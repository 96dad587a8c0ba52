"""Sealed values: encrypted and authenticated (AES-256-GCM), and worthless under another name than their own."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES = 12
KEY_BYTES = 32
LONGEST = 4096
"""Nothing longer comes back from a browser (RFC 6265bis section 5.6), so nothing longer is worth opening."""


class Unreadable(Exception):
    """Not sealed by us under this name, or under a key that is used no more."""


class Sealer:
    def __init__(self, keys: Sequence[str]) -> None:
        """The first key seals, all of them open."""
        self._ciphers = [AESGCM(_derived(key)) for key in keys]

    def seal(self, name: str, plain: bytes) -> str:
        """In characters that a cookie may have."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + self._ciphers[0].encrypt(nonce, plain, name.encode())
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def open(self, name: str, sealed: str) -> bytes:
        """Raises Unreadable."""
        if len(sealed) > LONGEST or not sealed.isascii():
            raise Unreadable
        try:
            data = base64.b64decode(sealed + "=" * (-len(sealed) % 4), altchars=b"-_", validate=True)
        except binascii.Error:
            raise Unreadable from None
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], name.encode())
            except (InvalidTag, ValueError):
                continue
        raise Unreadable


def _derived(key: str) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"bookstore browser session").derive(key.encode())
