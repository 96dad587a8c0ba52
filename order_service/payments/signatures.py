"""Signatures of the simulator's webhooks, in the scheme that Stripe uses: `t=<time>,v1=<HMAC of time.body>`."""

from __future__ import annotations

import hashlib
import hmac
import re
import time

from order_service.payments.provider import BadSignature

TOLERANCE_SECONDS = 300
_HEADER = re.compile(r"t=([0-9]{1,15}),v1=([0-9a-f]{64})", re.ASCII)


def sign(payload: bytes, secret: bytes, at: int | None = None) -> str:
    seconds = int(time.time()) if at is None else at
    return f"t={seconds},v1={_mac(payload, secret, seconds)}"


def verify(payload: bytes, header: str | None, secret: bytes) -> None:
    """Raises BadSignature for one that is missing, wrong, or older than some minutes."""
    parts = _HEADER.fullmatch(header or "")
    if parts is None or not hmac.compare_digest(_mac(payload, secret, int(parts[1])), parts[2]):
        raise BadSignature("The signature is missing or wrong.")
    if abs(time.time() - int(parts[1])) > TOLERANCE_SECONDS:
        raise BadSignature("The signature is too old.")


def _mac(payload: bytes, secret: bytes, seconds: int) -> str:
    return hmac.new(secret, b"%d." % seconds + payload, hashlib.sha256).hexdigest()
