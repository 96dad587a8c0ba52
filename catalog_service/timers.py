"""What the catalog's worker does by the clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from catalog_service.config import CatalogConfig
from catalog_service.domain import files, overdue, shelves, suggestions, words
from catalog_service.domain.imports import worker
from catalog_service.peers import Orders
from catalog_service.similarity.refreshing import refresh
from common.db import Database, utcnow
from common.errors import Unavailable
from common.mail import prune_mail, send_mail
from common.telemetry import get_logger
from common.worker import Timer, in_one_session

log = get_logger(__name__)


def settle_overdue(database: Database, config: CatalogConfig) -> None:
    """Ask the order service about orders whose stock is held for too long; no transaction waits for its answer."""
    before = utcnow() - timedelta(seconds=config.reservation_check_after)
    orders, after = Orders(config), overdue.FIRST
    try:
        while ids := _held_since(database, before, after):
            states = orders.states(ids)
            for id in ids:
                with database.transaction() as session:
                    overdue.settle(session, id, states.get(id))
            after = ids[-1]
    except Unavailable:
        log.warning("orders_not_asked")


def _held_since(database: Database, moment: datetime, after: UUID) -> list[UUID]:
    with database.read() as session:
        return overdue.held_since(session, moment, after=after)


TIMERS = [
    Timer("learn-words", 2.0, words.learn_all),
    Timer("settle-genre-counts", 5.0, shelves.settle_all),
    Timer("sweep-files", 5.0, files.sweep),
    Timer("imports", 1.0, worker.run_all),
    Timer("prune-imports", 3600.0, worker.prune),
    Timer("tell-suggesters", 1.0, in_one_session(suggestions.tell)),
    Timer("settle-overdue", 60.0, settle_overdue),
    Timer("train-similar", 60.0, refresh),
    Timer("send-mail", 1.0, send_mail),
    Timer("prune-mail", 3600.0, prune_mail),
]
