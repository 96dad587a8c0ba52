"""Browsers in which somebody has signed in before, by a cookie that stays when they sign out.

It lets nobody in. It only gives the account's owner guesses of their own, while others use up theirs.
"""

from __future__ import annotations

import hmac
import secrets
from datetime import timedelta
from uuid import UUID

from flask import Response, request

from auth_service.api import browser
from auth_service.api.authority import authority

COOKIE = "device"
LIFE = timedelta(days=365)


def remember(response: Response, user_id: UUID) -> None:
    """That the account's owner has signed in here; for each browser another name, and for each account."""
    if known(user_id) is None:
        name = secrets.token_urlsafe(12)
        browser.keep(response, COOKIE, f"{name}.{_proof(name, user_id)}", LIFE)


def known(user_id: UUID) -> str | None:
    """What this browser is called, if the account's owner was the last to sign in here."""
    name, _, proof = request.cookies.get(browser.cookie_name(COOKIE), "").partition(".")
    return name if proof and hmac.compare_digest(proof.encode(), _proof(name, user_id).encode()) else None


def _proof(name: str, user_id: UUID) -> str:
    return authority.vault.mac("device", f"{name} {user_id}")
