"""What the worker does about imports: each that waits has its turn, so that a large one keeps no other waiting."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from catalog_service.config import CatalogConfig
from catalog_service.domain.imports import jobs, undo
from catalog_service.domain.imports.formats import FORMATS
from catalog_service.domain.imports.reading import FileRefused
from catalog_service.domain.imports.run import Import, Interrupted
from common.db import Database
from common.health import Draining
from common.telemetry import get_logger

log = get_logger(__name__)

TURN_SECONDS = 5.0


@dataclass(slots=True)
class Turn:
    """The time that an import has while others wait.

    Who goes on with a file reads over what is behind already. A turn is longer by twice that time, so that most of the
    work is never lost to taking turns.
    """

    database: Database
    is_draining: Callable[[], bool]
    began: float = field(default_factory=time.monotonic)
    _reading: float | None = None

    def is_over(self) -> bool:
        """Asked before each batch, first when the import has come to where it stood."""
        spent = time.monotonic() - self.began
        if self._reading is None:
            self._reading = spent
        if self.is_draining():
            return True
        if spent - self._reading < TURN_SECONDS + 2 * self._reading:
            return False
        with self.database.read() as session:
            return jobs.does_another_wait(session)


def run_all(database: Database, config: CatalogConfig) -> None:
    """Until nothing waits, or the process is to end."""
    while not Draining.begun.is_set() and run_next(database, config, Draining.begun.is_set):
        pass


def run_next(database: Database, config: CatalogConfig, is_draining: Callable[[], bool] = lambda: False) -> bool:
    """Work on one import for its turn, if one waits; whether there was one."""
    with database.transaction() as session:
        job = jobs.claim_next(session)
    if job is None:
        return False
    try:
        _run(database, config, job, Turn(database, is_draining).is_over)
    except jobs.ClaimLost:
        log.warning("import_claim_lost", id=str(job.id))
    except Interrupted:
        with database.transaction() as session:
            jobs.give_back(session, job)
    return True


def _run(database: Database, config: CatalogConfig, job: jobs.Job, should_stop: Callable[[], bool]) -> None:
    if job.attempts > jobs.MOST_ATTEMPTS:
        _fail(database, job, "it was begun again and again, and never got any further")
    elif job.is_undo:
        undo.run(database.transaction, job, should_stop)
    elif job.source == "cli":
        _fail(database, job, "the command that read the file ended before it did; import the file again")
    else:
        _import(database, config, job, should_stop)


def _import(database: Database, config: CatalogConfig, job: jobs.Job, should_stop: Callable[[], bool]) -> None:
    importing = Import(
        database.transaction, config.currency, should_stop=should_stop, most_rejected=config.import_rejected_limit
    )
    file = io.BufferedReader(jobs.StoredFile(database.read, job.id))
    try:
        importing.run(job, FORMATS[job.format].reader(file, importing.count_read))
    except FileRefused as refused:
        _fail(database, job, str(refused))
        return
    with database.transaction() as session:
        jobs.finish(session, job)


def _fail(database: Database, job: jobs.Job, reason: str) -> None:
    with database.transaction() as session:
        if job.is_undo:
            undo.fail(session, job, reason)
        else:
            jobs.finish(session, job, failure=reason)


def prune(database: Database, config: CatalogConfig) -> None:
    with database.transaction() as session:
        jobs.prune(session, days=config.import_retention_days)
