"""What the OAuth endpoints have in common, request after request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from auth_service.domain.resources import Resources
from auth_service.domain.secrecy import Vault
from auth_service.domain.tokens import Issuer

Spend = Callable[[str, str, float], bool]
"""Marks a proof as shown, for good: a refusal later in the request must not undo it. See `replays.spend`."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How long what we issue is good for, and what we insist on."""

    code_life: timedelta
    family_life: timedelta
    refresh_grace: timedelta
    dpop_nonce_required: bool


@dataclass(frozen=True, slots=True)
class Provider:
    issuer: Issuer
    vault: Vault
    resources: Resources
    terms: Terms
