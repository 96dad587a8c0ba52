"""What the worker does about imports: it takes the oldest that nobody has, and brings it to an end."""

from __future__ import annotations

import io
from collections.abc import Callable

from catalog_service.config import CatalogConfig
from catalog_service.domain.imports import jobs, undo
from catalog_service.domain.imports.formats import FORMATS
from catalog_service.domain.imports.reading import FileRefused
from catalog_service.domain.imports.run import Import, Interrupted
from common.db import Database
from common.health import Draining
from common.telemetry import get_logger

log = get_logger(__name__)


def run_all(database: Database, config: CatalogConfig) -> None:
    """Until nothing waits, or the process is to end."""
    while not Draining.begun.is_set() and run_next(database, config, Draining.begun.is_set):
        pass


def run_next(database: Database, config: CatalogConfig, should_stop: Callable[[], bool] = lambda: False) -> bool:
    """Work on one import, if one waits; whether there was one."""
    with database.transaction() as session:
        job = jobs.claim_next(session)
    if job is None:
        return False
    try:
        _run(database, config, job, should_stop)
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
    importing = Import(database.transaction, config.currency, should_stop=should_stop)
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
