"""Forgetting what can no longer matter. Used codes and tokens are kept a while: a replay must be recognised."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from auth_service.domain import revocations
from auth_service.models import (
    AuthorizationCode,
    DeviceCode,
    FailedSignIns,
    PushedRequest,
    SignInSession,
    SpentProof,
    Ticket,
    TokenFamily,
)
from common.db import utcnow

KEEP_CODES = timedelta(days=1)
KEEP_FAMILIES = timedelta(days=30)


def prune(session: Session) -> None:
    """Locked rows are in use and wait for the next time."""
    now = utcnow()
    for column, before in (
        (FailedSignIns.expires_at, now),
        (AuthorizationCode.expires_at, now - KEEP_CODES),
        (TokenFamily.expires_at, now - KEEP_FAMILIES),
        (PushedRequest.expires_at, now),
        (DeviceCode.expires_at, now - KEEP_CODES),
        (SpentProof.expires_at, now),
        (Ticket.expires_at, now),
    ):
        model = column.class_
        key = next(iter(model.__mapper__.primary_key))
        old = select(key).where(column < before).with_for_update(skip_locked=True)
        session.execute(delete(model).where(key.in_(old)).execution_options(synchronize_session=False))
    _prune_sessions(session)
    revocations.prune(session)


def _prune_sessions(session: Session) -> None:
    """A session outlives its cookie as long as tokens came from it."""
    in_use = exists().where(TokenFamily.session_id == SignInSession.id)
    old = SignInSession.expires_at < utcnow() - KEEP_FAMILIES
    session.execute(delete(SignInSession).where(old, ~in_use).execution_options(synchronize_session=False))
