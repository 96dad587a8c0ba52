"""The life of a signing key: published as `next`, then `active`, then `retired` until no token of it can be around.

A key is published long before it signs, so that every verifier has fetched it by then; and long after.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from auth_service.domain.keys import KeyRing
from auth_service.models import SigningKey
from common.db import utcnow

PUBLISHED_BEFORE = timedelta(minutes=10)
"""Twice as long as anybody may keep the published set (Cache-Control, JwksKeys)."""

KEEP_RETIRED = timedelta(days=30)
"""Access tokens last an hour at most; an ID token may come back as a hint much later."""


def rotate(session: Session, ring: KeyRing) -> str:
    """Sign with the next key from now on; returns its id. Both of the keys stay published."""
    _take_turns(session)
    return _rotate(session, ring)


def keep(session: Session, ring: KeyRing, every: timedelta | None) -> None:
    """What the clock asks for: a next key, a rotation when the active one is old, an end to those long retired."""
    _take_turns(session)
    ring.signer(session)
    _ensure_next(session, ring)
    active, following = _in_state(session, "active"), _in_state(session, "next")
    assert active is not None
    assert following is not None
    now = utcnow()
    is_old = every is not None and active.state_since < now - every
    if is_old and following.state_since < now - PUBLISHED_BEFORE:
        _rotate(session, ring)
    session.execute(
        delete(SigningKey).where(SigningKey.state == "retired", SigningKey.state_since < now - KEEP_RETIRED)
    )


def reencrypt(session: Session, ring: KeyRing) -> int:
    """Bring private keys under the first of the encryption keys; returns how many were under an older one."""
    _take_turns(session)
    changed = 0
    for key in session.scalars(select(SigningKey)):
        if not ring.vault.is_current(bytes(key.private_key)):
            key.private_key = ring.vault.encrypt(ring.vault.decrypt(bytes(key.private_key)))
            changed += 1
    session.flush()
    return changed


def _rotate(session: Session, ring: KeyRing) -> str:
    active, following = _in_state(session, "active"), _in_state(session, "next")
    if active is not None:
        _enter(session, active, "retired")
    if following is None:
        following = ring.generate("next")
        session.add(following)
    _enter(session, following, "active")
    _ensure_next(session, ring)
    return following.kid


def _ensure_next(session: Session, ring: KeyRing) -> None:
    """One of the algorithm that is configured: another one, which has signed nothing yet, is replaced."""
    following = _in_state(session, "next")
    if following is not None and following.algorithm == ring.algorithm:
        return
    if following is not None:
        session.delete(following)
    session.add(ring.generate("next"))
    session.flush()


def _in_state(session: Session, state: str) -> SigningKey | None:
    found = select(SigningKey).where(SigningKey.state == state).order_by(SigningKey.created_at.desc()).limit(1)
    return session.scalar(found.execution_options(populate_existing=True))


def _enter(session: Session, key: SigningKey, state: str) -> None:
    key.state, key.state_since = state, utcnow()
    session.flush()


def _take_turns(session: Session) -> None:
    session.execute(text("SELECT pg_advisory_xact_lock(hashtext(current_schema() || '.signing_keys'))"))
