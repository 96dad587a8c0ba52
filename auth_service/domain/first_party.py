"""The JSON sign-in of the store's own programs: the same sessions and families, without an OAuth client."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from auth_service.domain import accounts, families, scopes, sessions
from auth_service.domain.clients import FIRST_PARTY
from auth_service.domain.secrecy import Vault
from auth_service.domain.tokens import Issuer
from auth_service.models import SignInSession, User


def tokens(session: Session, issuer: Issuer, user: User, sign_in: SignInSession, *, life: timedelta) -> dict[str, Any]:
    """The first tokens of a sign-in, with all that the person's role allows."""
    scope = scopes.of_role(user.role)
    family = families.start(session, sign_in=sign_in, client_id=FIRST_PARTY, scope=scope, life=life)
    response = issuer.for_user(session, family, user, scope)
    return response | {"refresh_token": families.first_token(session, family)}


def refresh(session: Session, issuer: Issuer, vault: Vault, token: str, *, grace: timedelta) -> dict[str, Any]:
    """Raises RefreshRefused or RefreshReused. What the role allows is looked up anew."""
    family, successor = families.rotate(session, token, client_id=FIRST_PARTY, grace=grace, vault=vault)
    user = accounts.active(session, family.user_id)
    if user is None:
        raise families.RefreshRefused("The account is not active.")
    sessions.touch(session, family.session_id)
    response = issuer.for_user(session, family, user, scopes.of_role(user.role))
    return response | {"refresh_token": successor}
