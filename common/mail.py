"""Mail: written down in the transaction of its reason, sent by the worker after the commit, each at most once.

A mail that the server refused, or that could not be handed over at all, is tried again with back-off. One whose
process died while it was being handed over is not: nobody can know whether it went, and a second copy is worse.
What is over and done with is removed after MAIL_RETENTION_DAYS; whoever may give a reason again after that remembers
by itself that a mail was written.
"""

from __future__ import annotations

import smtplib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit
from uuid import UUID

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape
from sqlalchemy import Column, DateTime, Index, Integer, MetaData, Table, Text, Uuid, delete, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common.config import ServiceConfig
from common.db import Database, utcnow
from common.ids import first_id, new_id
from common.telemetry import get_logger

BATCH = 20
MAX_ATTEMPTS = 12
REMOVED_AT_ONCE = 500
FIRST_BACKOFF = timedelta(seconds=5)
LONGEST_BACKOFF = timedelta(minutes=30)
TIMEOUT_SECONDS = 10

metadata = MetaData()
table = Table(
    "mail",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("recipient", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("html", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("claimed_at", DateTime(timezone=True)),
    Column("sent_at", DateTime(timezone=True)),
    Column("failed_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Index(
        "ix_mail_due",
        "due_at",
        postgresql_where=text("claimed_at IS NULL AND sent_at IS NULL AND failed_at IS NULL"),
    ),
)
log = get_logger(__name__)


class NotSent(Exception):
    """The server could not be reached, or refused for now: the mail certainly did not go."""


class Uncertain(Exception):
    """The connection broke while the mail was handed over: it may have gone."""


class Mailer(Protocol):
    def send(self, message: EmailMessage) -> None:
        """Raises NotSent, or Uncertain."""


@dataclass(frozen=True, slots=True)
class Template:
    """`<name>.txt` and `<name>.html` in a package's templates/mail; the first line of the text is the subject.

    The layout that all mails share is in common/templates/mail.
    """

    package: str
    name: str

    def render(self, context: Mapping[str, Any]) -> tuple[str, str, str]:
        """Subject, text and HTML."""
        environment = _environment(self.package)
        first, _, body = environment.get_template(f"{self.name}.txt").render(context).partition("\n")
        subject = first.removeprefix("Subject:").strip()
        html = environment.get_template(f"{self.name}.html").render(context, subject=subject)
        return subject, body.strip() + "\n", html


@lru_cache
def _environment(package: str) -> Environment:
    return Environment(
        loader=ChoiceLoader([PackageLoader(name, "templates/mail") for name in (package, "common")]),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
    )


def post(session: Session, *, key: str, to: str, template: Template, context: Mapping[str, Any]) -> None:
    """Have a mail sent once this transaction has committed; while it is kept, no second one has its `key`."""
    subject, body, html = template.render(context)
    now = utcnow()
    row = {"id": new_id(), "key": key, "recipient": to, "subject": subject, "text": body, "html": html}
    session.execute(insert(table).values(row | {"due_at": now, "created_at": now}).on_conflict_do_nothing())


def forget(session: Session, recipient: str) -> None:
    """Remove what was written to somebody, sent or not."""
    session.execute(delete(table).where(table.c.recipient == recipient))


def remove_old(session: Session, before: datetime) -> int:
    """Remove a batch of what was written before and will not be sent any more; returns how many."""
    is_over = table.c.sent_at.is_not(None) | table.c.failed_at.is_not(None) | table.c.claimed_at.is_not(None)
    old = select(table.c.id).where(table.c.id < first_id(before), is_over).order_by(table.c.id).limit(REMOVED_AT_ONCE)
    gone = delete(table).where(table.c.id.in_(old.with_for_update(skip_locked=True))).returning(table.c.id)
    return len(session.execute(gone).all())


def send_due(database: Database, mailer: Mailer, sender: str) -> int:
    """Send a batch of what is due; returns how many were tried."""
    claimed = _claim(database)
    for row in claimed:
        message = _message(row, sender)
        try:
            mailer.send(message)
            _mark(database, row.id, sent_at=utcnow())
        except NotSent as error:
            _put_off(database, row, error)
        except Uncertain:
            log.error("mail_uncertain", mail_id=str(row.id))
            _mark(database, row.id, failed_at=utcnow())
    return len(claimed)


def _claim(database: Database) -> list[Any]:
    due = (
        select(table.c.id)
        .where(
            table.c.due_at <= utcnow(),
            table.c.claimed_at.is_(None),
            table.c.sent_at.is_(None),
            table.c.failed_at.is_(None),
        )
        .order_by(table.c.due_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    with database.transaction() as session:
        claim = update(table).where(table.c.id.in_(due)).values(claimed_at=utcnow()).returning(table)
        return list(session.execute(claim).all())


def _put_off(database: Database, row: Any, error: NotSent) -> None:
    attempts = row.attempts + 1
    pause = min(FIRST_BACKOFF * 2**row.attempts, LONGEST_BACKOFF)
    failed_at = utcnow() if attempts >= MAX_ATTEMPTS else None
    log.warning("mail_not_sent", mail_id=str(row.id), attempts=attempts, error=type(error.__cause__ or error).__name__)
    _mark(database, row.id, attempts=attempts, claimed_at=None, due_at=utcnow() + pause, failed_at=failed_at)


def _mark(database: Database, id: UUID, **values: Any) -> None:
    with database.transaction() as session:
        session.execute(update(table).where(table.c.id == id).values(values))


def _message(row: Any, sender: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, row.recipient, row.subject
    message["Date"] = formatdate(row.created_at.timestamp())
    message["Message-ID"] = make_msgid(str(row.id), domain=sender.rpartition("@")[2].rstrip(">") or "localhost")
    message.set_content(row.text)
    message.add_alternative(row.html, subtype="html")
    return message


class SmtpMailer:
    """smtp://user:password@host:port, smtps:// for TLS from the start; STARTTLS is used where it is offered."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)

    def send(self, message: EmailMessage) -> None:
        try:
            server = self._connect()
        except (OSError, smtplib.SMTPException) as error:
            raise NotSent from error
        try:
            server.send_message(message)
            server.quit()
        except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused) as error:
            raise NotSent from error
        except (OSError, smtplib.SMTPServerDisconnected) as error:
            raise Uncertain from error

    def _connect(self) -> smtplib.SMTP:
        host, url = self._url.hostname or "localhost", self._url
        if url.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, url.port or 465, timeout=TIMEOUT_SECONDS)
        else:
            server = smtplib.SMTP(host, url.port or 25, timeout=TIMEOUT_SECONDS)
            server.ehlo()
            if server.has_extn("starttls"):
                server.starttls()
        if url.username:
            server.login(unquote(url.username), unquote(url.password or ""))
        return server


class FolderMailer:
    """Each mail as an .eml file in a folder, for a store that has no mail server."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, message: EmailMessage) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            part = self._folder / f".{new_id()}.part"
            part.write_bytes(bytes(message))
            part.rename(self._folder / f"{new_id()}.eml")
        except OSError as error:
            raise NotSent from error


def open_mailer(config: ServiceConfig) -> Mailer:
    """The mailer that MAIL_URL names: smtp://…, smtps://… or file:///folder."""
    scheme, _, rest = config.mail_url.partition("://")
    if scheme in ("smtp", "smtps"):
        return SmtpMailer(config.mail_url)
    if scheme == "file":
        return FolderMailer(Path(rest))
    raise ValueError("MAIL_URL must be smtp://, smtps:// or file://")


def send_mail(database: Database, config: ServiceConfig) -> None:
    """For a worker's timer: send all that is due."""
    mailer = open_mailer(config)
    while send_due(database, mailer, config.mail_sender) == BATCH:
        pass


def prune_mail(database: Database, config: ServiceConfig) -> None:
    """For a worker's timer: remove old mail, batch by batch."""
    before = utcnow() - config.mail_retention
    more = True
    while more:
        with database.transaction() as session:
            more = remove_old(session, before) == REMOVED_AT_ONCE
