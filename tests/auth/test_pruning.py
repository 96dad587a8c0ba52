"""What can no longer matter is forgotten, and nothing else."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from auth_service.domain import accounts, families, pruning, sessions
from auth_service.models import FailedSignIns, RefreshToken, SignInSession, TokenFamily
from common.db import utcnow
from tests.auth.conftest import PASSWORD


def test_old_families_and_their_sessions_go_and_live_ones_stay(session: Session) -> None:
    user = accounts.register(session, username="reader", email="reader@example.com", password=PASSWORD)
    long_ago = -timedelta(days=60)
    for life in (long_ago, timedelta(days=1)):
        sign_in = sessions.start(session, user, life=life, user_agent="", address="")
        family = families.start(session, sign_in=sign_in, client_id="x", scope="", life=life)
        families.first_token(session, family)
    sessions.start(session, user, life=timedelta(days=1), user_agent="", address="")
    session.add(FailedSignIns(key=b"x", failures=1, expires_at=utcnow() + long_ago))
    session.flush()
    pruning.prune(session)
    counts = [
        session.scalar(select(func.count()).select_from(each))
        for each in (TokenFamily, RefreshToken, SignInSession, FailedSignIns)
    ]
    assert counts == [1, 1, 2, 0]
