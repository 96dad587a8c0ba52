"""The smallest service: it publishes an event to itself and writes down, row by row, what handling it did."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import ClassVar

from sqlalchemy import BigInteger, Column, Identity, Integer, MetaData, Table, Text, insert
from sqlalchemy.orm import Session

from common import inbox, outbox
from common.cli import Service, main
from common.config import ServiceConfig
from common.db import Database
from common.events.base import Event
from common.telemetry import traceparent


class ToyConfig(ServiceConfig):
    service: ClassVar[str] = "toy"
    schema: ClassVar[str] = "toy"


class Noted(Event):
    name: ClassVar[str] = "toy.noted.v1"
    key_field: ClassVar[str] = "subject"

    subject: str
    number: int


metadata = MetaData()
effect = Table(
    "effect",
    metadata,
    Column("position", BigInteger, Identity(), primary_key=True),
    Column("subject", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("worker", Text),
    Column("traceparent", Text),
)


class Alarmed(Noted):
    """As urgent as the word says."""

    name: ClassVar[str] = "toy.alarmed.v1"
    urgent: ClassVar[bool] = True


class Ended(Noted):
    """After which there may be more of what it ended."""

    name: ClassVar[str] = "toy.ended.v1"
    again_after: ClassVar[timedelta | None] = timedelta(minutes=1)


def create_tables(database: Database) -> None:
    for each in (metadata, outbox.metadata, inbox.metadata):
        each.create_all(database.engine)


def note(session: Session, event: Noted) -> None:
    """Its effect is not idempotent on purpose: only the inbox keeps it from happening twice."""
    session.execute(
        insert(effect).values(
            subject=event.subject,
            number=event.number,
            worker=threading.current_thread().name,
            traceparent=traceparent(),
        )
    )


HANDLERS: inbox.Handlers = {Noted: note, Alarmed: note, Ended: note}


class _Toy(Service):
    def load(self, module: str, name: str, default: object = None) -> object:
        return {"HANDLERS": HANDLERS}.get(name, default)


def run() -> None:
    main(_Toy(package="tests.common.toy", config=ToyConfig))
