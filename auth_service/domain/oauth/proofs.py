"""DPoP at our own endpoints (RFC 9449 sections 5 and 8), with nonces that need no storage."""

from __future__ import annotations

import hmac
import time

from auth_service.domain.oauth.errors import OAuthRefusal
from auth_service.domain.oauth.provider import Provider, Spend
from common import dpop

NONCE_SECONDS = 150


class InvalidProof(OAuthRefusal):
    def __init__(self, description: str) -> None:
        super().__init__("invalid_dpop_proof", description)


class NonceWanted(OAuthRefusal):
    """RFC 9449 section 8: the same request again, with this nonce."""

    def __init__(self, nonce: str) -> None:
        super().__init__("use_dpop_nonce", "The proof has to contain our nonce.")
        self.headers["DPoP-Nonce"] = nonce


def current_nonce(provider: Provider) -> str:
    return _nonce(provider, _window())


def holder(provider: Provider, spend: Spend, proof: str, path: str) -> str:
    """The thumbprint of the key whose holder sent this POST. Raises InvalidProof or NonceWanted."""
    try:
        checked = dpop.check_proof(proof, method="POST", url=provider.issuer.url + path)
    except dpop.ProofRefused as error:
        raise InvalidProof(str(error)) from None
    if not _is_ours(provider, checked.nonce):
        raise NonceWanted(current_nonce(provider))
    until = checked.issued_at + dpop.PAST_SECONDS + dpop.FUTURE_SECONDS
    if not spend("dpop", f"{checked.jkt} {checked.jti}", until):
        raise InvalidProof("The proof was shown before.")
    return checked.jkt


def _is_ours(provider: Provider, nonce: str | None) -> bool:
    if nonce is None:
        return not provider.terms.dpop_nonce_required
    good = [_nonce(provider, window).encode() for window in (_window(), _window() - 1)]
    return any(hmac.compare_digest(each, nonce.encode("utf-8", "replace")) for each in good)


def _window() -> int:
    return int(time.time()) // NONCE_SECONDS


def _nonce(provider: Provider, window: int) -> str:
    return provider.vault.mac("dpop nonce", str(window))
