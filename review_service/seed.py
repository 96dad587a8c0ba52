"""Reviews are written by buyers, and a new store has none of these: there is nothing to put in beforehand."""

from __future__ import annotations

from sqlalchemy.orm import Session

from review_service.config import ReviewConfig


def seed(session: Session, config: ReviewConfig) -> None:
    """Nothing is needed."""
