"""Authorization codes: good for one use, within a minute, by the client that asked, with the proof it promised."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from auth_service.domain import families
from auth_service.domain.oauth.errors import InvalidGrant, ReusedGrant
from auth_service.domain.secrecy import digest
from auth_service.models import AuthorizationCode, SignInSession, TokenFamily
from common.db import utcnow

# The base64url of a SHA-256 has 43 characters, and no other challenge can be met (RFC 7636 section 4.2).
S256_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


@dataclass(frozen=True, slots=True)
class Presented:
    """What a client shows to redeem a code."""

    code: str
    client_id: str
    redirect_uri: str
    code_verifier: str
    jkt: str | None
    bind: bool
    """Whether the refresh tokens are to be bound to the key `jkt` as well."""


def issue(
    session: Session,
    *,
    client_id: str,
    sign_in: SignInSession,
    redirect_uri: str,
    scope: str,
    nonce: str | None,
    code_challenge: str,
    life: timedelta,
    terms: families.Terms,
) -> str:
    code = secrets.token_urlsafe(32)
    session.add(
        AuthorizationCode(
            code_hash=digest(code),
            client_id=client_id,
            session_id=sign_in.id,
            redirect_uri=redirect_uri,
            scope=scope,
            nonce=nonce,
            code_challenge=code_challenge,
            resources=list(terms.resources),
            dpop_jkt=terms.dpop_jkt,
            claims=terms.claims,
            expires_at=utcnow() + life,
        )
    )
    session.flush()
    return code


def redeem(session: Session, shown: Presented, *, family_life: timedelta) -> tuple[AuthorizationCode, TokenFamily]:
    """The code, now used, and the family of tokens that it starts.

    Raises InvalidGrant, or ReusedGrant for a replay, which revokes what was made from the code. Of any number of
    simultaneous requests one succeeds: using the code is one UPDATE, for which the others wait in vain.
    """
    found = session.scalar(select(AuthorizationCode).where(AuthorizationCode.code_hash == digest(shown.code)))
    if found is None or found.client_id != shown.client_id:
        raise InvalidGrant("The code is not valid.")
    if found.used_at is not None:
        raise _replayed(session, found)
    _require_binding(found, shown)
    if not _use(session, found):
        raise _replayed(session, found)
    return found, _start_family(session, found, family_life, shown.jkt if shown.bind else None)


def _require_binding(code: AuthorizationCode, shown: Presented) -> None:
    if code.expires_at <= utcnow():
        raise InvalidGrant("The code has expired.")
    if code.redirect_uri and code.redirect_uri != shown.redirect_uri:
        raise InvalidGrant("The redirect_uri is not the one that the code was asked for with.")
    if code.dpop_jkt not in (None, shown.jkt):
        raise InvalidGrant("The code is bound to another key.")
    if not proves(shown.code_verifier, code.code_challenge):
        raise InvalidGrant("The code_verifier does not fit the code_challenge.")


def proves(verifier: str, challenge: str) -> bool:
    """RFC 7636 section 4.6, S256 only."""
    if not _VERIFIER.fullmatch(verifier):
        return False
    made = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest()).rstrip(b"=").decode()
    return hmac.compare_digest(made, challenge)


def _use(session: Session, code: AuthorizationCode) -> bool:
    used = session.execute(
        update(AuthorizationCode)
        .where(AuthorizationCode.id == code.id, AuthorizationCode.used_at.is_(None))
        .values(used_at=utcnow())
        .returning(AuthorizationCode.id)
        .execution_options(synchronize_session=False)
    )
    return used.scalar() is not None


def _replayed(session: Session, code: AuthorizationCode) -> ReusedGrant:
    session.refresh(code)
    if code.family_id is not None:
        families.revoke(session, code.family_id, "code_replayed")
    return ReusedGrant("The code was used before.")


def _start_family(session: Session, code: AuthorizationCode, life: timedelta, jkt: str | None) -> TokenFamily:
    sign_in = session.get_one(SignInSession, code.session_id)
    if not sign_in.is_live:
        raise InvalidGrant("The sign-in has ended.")
    terms = families.Terms(code.resources, jkt, code.claims)
    family = families.start(
        session, sign_in=sign_in, client_id=code.client_id, scope=code.scope, life=life, terms=terms
    )
    code.family_id = family.id
    session.flush()
    return family
