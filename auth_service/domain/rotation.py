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
    """Sign with the next keys from now on; returns the id of the usual one. The old ones stay published."""
    _take_turns(session)
    for algorithm in _others(session, ring):
        _rotate(session, ring, algorithm)
    return _rotate(session, ring, ring.algorithm)


def withdraw(session: Session, ring: KeyRing, kid: str) -> bool:
    """Publish this key no longer, since somebody else may have it; whether there was one. What it signed is refused
    as soon as verifiers fetch the keys again, within five minutes."""
    _take_turns(session)
    key = session.get(SigningKey, kid)
    if key is None:
        return False
    if key.state == "active":
        _rotate(session, ring, key.algorithm)
    session.delete(key)
    session.flush()
    return True


def keep(session: Session, ring: KeyRing, every: timedelta | None) -> None:
    """What the clock asks for: next keys, a rotation where the active one is old, an end to those long retired."""
    _take_turns(session)
    ring.signer(session)
    for algorithm in (ring.algorithm, *_others(session, ring)):
        _keep(session, ring, algorithm, every)
    session.execute(
        delete(SigningKey).where(SigningKey.state == "retired", SigningKey.state_since < utcnow() - KEEP_RETIRED)
    )


def _others(session: Session, ring: KeyRing) -> list[str]:
    """The algorithms that some client asked for, beside the usual one."""
    asked_for = select(SigningKey.algorithm).where(SigningKey.state == "active", SigningKey.algorithm != ring.algorithm)
    return list(session.scalars(asked_for.order_by(SigningKey.algorithm)))


def _keep(session: Session, ring: KeyRing, algorithm: str, every: timedelta | None) -> None:
    following = _ensure_next(session, ring, algorithm)
    active, now = _in_state(session, "active", algorithm), utcnow()
    is_old = every is not None and active is not None and active.state_since < now - every
    if is_old and following.state_since < now - PUBLISHED_BEFORE:
        _rotate(session, ring, algorithm)


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


def _rotate(session: Session, ring: KeyRing, algorithm: str) -> str:
    following = _ensure_next(session, ring, algorithm)
    if active := _in_state(session, "active", algorithm):
        _enter(session, active, "retired")
    _enter(session, following, "active")
    _ensure_next(session, ring, algorithm)
    return following.kid


def _ensure_next(session: Session, ring: KeyRing, algorithm: str) -> SigningKey:
    following = _in_state(session, "next", algorithm)
    if following is None:
        following = ring.generate("next", algorithm)
        session.add(following)
        session.flush()
    return following


def _in_state(session: Session, state: str, algorithm: str) -> SigningKey | None:
    found = select(SigningKey).where(SigningKey.state == state, SigningKey.algorithm == algorithm)
    newest = found.order_by(SigningKey.created_at.desc()).limit(1)
    return session.scalar(newest.execution_options(populate_existing=True))


def _enter(session: Session, key: SigningKey, state: str) -> None:
    key.state, key.state_since = state, utcnow()
    session.flush()


def _take_turns(session: Session) -> None:
    session.execute(text("SELECT pg_advisory_xact_lock(hashtext(current_schema() || '.signing_keys'))"))
