"""Having a summary written without holding a transaction, or many threads, while the provider thinks."""

from __future__ import annotations

import threading
from datetime import timedelta

from catalog_service.config import CatalogConfig
from catalog_service.domain import summaries
from catalog_service.domain.summaries import Answer, Subject
from catalog_service.summaries.provider import NotWritten, Provider
from common.db import Database, utcnow
from common.telemetry import get_logger

AT_ONCE = 1
"""How many threads of a process may wait for the provider: the others answer ordinary requests."""

log = get_logger(__name__)


class Summariser:
    def __init__(self, config: CatalogConfig, provider: Provider | None) -> None:
        self._provider = provider
        self._per_minute = config.summary_calls_per_minute
        self._lease = timedelta(seconds=2 * config.summary_timeout + 10)
        self._free = threading.BoundedSemaphore(AT_ONCE)

    def of(self, database: Database, about: Subject) -> Answer:
        """The stored summary, or a new one, or, where that cannot be had at once, the extractive one."""
        if not about.description:
            return summaries.NOTHING
        with database.read() as session:
            found = summaries.stored(session, about)
        if found and not (found.is_extract and self._provider):
            return found
        return self._by_provider(database, about) or found or self._extracted(database, about)

    def _extracted(self, database: Database, about: Subject) -> Answer:
        with database.transaction() as session:
            return summaries.extract(session, about)

    def _by_provider(self, database: Database, about: Subject) -> Answer | None:
        if self._provider is None or not self._free.acquire(blocking=False):
            return None
        try:
            return self._write(database, about, self._provider) if self._claimed(database, about) else None
        finally:
            self._free.release()

    def _claimed(self, database: Database, about: Subject) -> bool:
        with database.transaction() as session:
            return summaries.claim(session, about, lease=self._lease, per_minute=self._per_minute)

    def _write(self, database: Database, about: Subject, provider: Provider) -> Answer | None:
        try:
            answer = Answer(provider.write(about.title, about.description), provider.source, utcnow())
        except NotWritten as error:
            log.warning("summary_not_written", source=provider.source, error=str(error))
            with database.transaction() as session:
                summaries.failed(session, about)
            return None
        with database.transaction() as session:
            summaries.store(session, about, answer)
        return answer
