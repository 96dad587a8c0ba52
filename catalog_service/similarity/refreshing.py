"""When the worker has the catalogue learnt anew, and how: in a process that gives its memory back when it ends."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from catalog_service.config import CatalogConfig
from catalog_service.models import Book, SimilarTraining
from common.db import Database, utcnow
from common.health import Draining
from common.telemetry import get_logger

CHANGED_SHARE = 0.02
QUIET = timedelta(minutes=1)
LONGEST_UNQUIET = timedelta(hours=1)
OLD = timedelta(days=1)
LOOK_SECONDS = 0.5
RETRY_SECONDS = 900.0  # what failed for want of memory would fail every minute
log = get_logger(__name__)


def refresh(database: Database, config: CatalogConfig) -> None:
    """Train when enough has changed; ends early when the process is to end."""
    if not config.similar_training:
        return
    with database.read() as session:
        wanted = is_due(session)
    if wanted:
        _in_a_process_of_its_own()


def is_due(session: Session) -> bool:
    """Whether a fiftieth of the books has changed and an import is not just running, or any book since yesterday."""
    latest = session.scalar(select(func.max(Book.updated_at)))
    last = session.get(SimilarTraining, True, populate_existing=True)
    if latest is None:
        return False
    quiet = utcnow() - latest > QUIET
    if last is None:
        return quiet
    age = utcnow() - last.trained_at
    enough = max(1, int(last.books * CHANGED_SHARE)) if age < OLD else 1
    return (quiet or age > LONGEST_UNQUIET) and _has_changed(session, last, enough)


def _has_changed(session: Session, last: SimilarTraining, enough: int) -> bool:
    """Counted no further than needed."""
    changed = select(Book.id).where(Book.updated_at > last.trained_at).limit(enough).subquery()
    return (session.scalar(select(func.count()).select_from(changed)) or 0) >= enough


def _in_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "catalog_service", "train-similar", "--gently"]
    nothing = subprocess.DEVNULL
    training = subprocess.Popen(command, stdin=nothing, stdout=nothing)  # noqa: S603 - it is ourselves
    while training.poll() is None and not Draining.begun.wait(LOOK_SECONDS):
        pass
    if training.poll() is None:
        training.terminate()
        training.wait()
    elif training.returncode:
        log.warning("training_failed", exit_code=training.returncode)
        Draining.begun.wait(RETRY_SECONDS)
