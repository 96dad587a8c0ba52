"""How surely a person is who they say: authentication methods (RFC 8176) and the levels that they amount to."""

from __future__ import annotations

from collections.abc import Collection

ONE_FACTOR = "urn:bookstore:acr:1fa"
TWO_FACTORS = "urn:bookstore:acr:2fa"
LEVELS = (ONE_FACTOR, TWO_FACTORS)
"""From the lower to the higher; each satisfies those before it."""


def acr(amr: Collection[str]) -> str:
    """The authentication context class of a sign-in by these methods (OpenID Connect Core section 2)."""
    return TWO_FACTORS if "mfa" in amr else ONE_FACTOR


def reaches(amr: Collection[str], wanted: Collection[str]) -> bool:
    """Whether a sign-in by these methods is good enough for one of the wanted levels."""
    reached = LEVELS.index(acr(amr))
    return any(level in LEVELS and LEVELS.index(level) <= reached for level in wanted)
