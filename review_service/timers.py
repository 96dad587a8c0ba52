"""What the review service does by the clock."""

from __future__ import annotations

from prometheus_client import Gauge

from common.db import Database
from common.worker import Timer
from review_service.config import ReviewConfig
from review_service.domain import bursts

RATING_BURSTS = Gauge("rating_bursts", "Books that got many low ratings in a short time, now")


def watch_ratings(database: Database, config: ReviewConfig) -> None:
    """Note bursts of low ratings."""
    with database.transaction() as session:
        going_on = bursts.watch(session, config.burst_count, config.burst_seconds)
    RATING_BURSTS.set(going_on)


TIMERS = (Timer("watch-ratings", 10.0, watch_ratings),)
