"""Mail: written down in the transaction of its reason, sent by the worker after the commit, each at most once.

A mail that the server refused for now, or that could not be handed over at all, is tried again with back-off for three
days. One whose process died while it was being handed to a server is not: nobody can know whether it went, and a second
copy is worse. In a folder a second copy takes the place of the first, so there nothing is lost. What is over and done
with is removed after MAIL_RETENTION_DAYS; whoever may give a reason again after that remembers by itself that a mail
was written.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.header import Header
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import formatdate
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
from common.health import Draining
from common.ids import first_id, new_id
from common.telemetry import get_logger

GIVEN_UP_AFTER = timedelta(days=3)
REMOVED_AT_ONCE = 500
FIRST_BACKOFF = timedelta(seconds=5)
LONGEST_BACKOFF = timedelta(minutes=30)
DOUBLINGS = 9
"""Until the back-off is at its longest."""
LEASE = timedelta(seconds=30)
"""After so long a hand-over without an end is made again, where that can be done."""
TIMEOUT_SECONDS = 10
PLAIN = "smtp+plain"
PERMANENT = 500
"""Replies from here on mean that asking again is no use (RFC 5321 section 4.2.1)."""

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
    """The server refused the mail for now: it certainly did not go."""


class Unreachable(NotSent):
    """There is no server that any mail could be given to."""


class Rejected(Exception):
    """The server will not take this mail, now or later."""


class Uncertain(Exception):
    """The connection broke while the mail was handed over: it may have gone."""


class Mailer(Protocol):
    is_repeatable: bool
    """Whether a mail that is handed over a second time is still one mail."""

    def send(self, message: EmailMessage) -> None:
        """Raises NotSent, Rejected or Uncertain."""


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
        subject = " ".join(first.removeprefix("Subject:").split())
        html = environment.get_template(f"{self.name}.html").render(context, subject=subject)
        return subject, body.strip() + "\n", html


@lru_cache
def _environment(package: str) -> Environment:
    return Environment(
        loader=ChoiceLoader([PackageLoader(name, "templates/mail") for name in (package, "common")]),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        finalize=_in_one_line,
    )


def _in_one_line(value: Any) -> Any:
    """Or a title with a line's end in it would end the subject, and could pass for words of ours."""
    return " ".join(value.split()) if type(value) is str else value


def post(session: Session, *, key: str, to: str, template: Template, context: Mapping[str, Any]) -> None:
    """Have a mail sent once this transaction has committed; while it is kept, no second one has its `key`."""
    subject, body, html = template.render(context)
    now = utcnow()
    row = {"id": new_id(), "key": key, "recipient": to, "subject": subject, "text": body, "html": html}
    session.execute(insert(table).values(row | {"due_at": now, "created_at": now}).on_conflict_do_nothing())


def forget(session: Session, keys: Collection[str]) -> None:
    """Remove the mails with these keys, sent or not."""
    session.execute(delete(table).where(table.c.key.in_(keys)))


def remove_old(session: Session, before: datetime) -> int:
    """Remove a batch of what was written before and will not be sent any more; returns how many."""
    is_over = table.c.sent_at.is_not(None) | table.c.failed_at.is_not(None) | table.c.claimed_at.is_not(None)
    old = select(table.c.id).where(table.c.id < first_id(before), is_over).order_by(table.c.id).limit(REMOVED_AT_ONCE)
    gone = delete(table).where(table.c.id.in_(old.with_for_update(skip_locked=True))).returning(table.c.id)
    return len(session.execute(gone).all())


def send_due(database: Database, mailer: Mailer, sender: str) -> int:
    """Send what is due, one after the other, for as long as there is a server; returns how many were tried."""
    tried, goes_on = 0, True
    while goes_on and not Draining.begun.is_set() and (row := _claim(database, mailer)):
        goes_on = _hand_over(database, mailer, row, sender)
        tried += 1
    return tried


def _claim(database: Database, mailer: Mailer) -> Any:
    """The mail that has been due for longest, which nobody else takes now: for good, unless it can be repeated."""
    due = (
        select(table.c.id)
        .where(
            table.c.due_at <= utcnow(),
            table.c.claimed_at.is_(None),
            table.c.sent_at.is_(None),
            table.c.failed_at.is_(None),
        )
        .order_by(table.c.due_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    taken = {"due_at": utcnow() + LEASE} if mailer.is_repeatable else {"claimed_at": utcnow()}
    with database.transaction() as session:
        claim = update(table).where(table.c.id == due.scalar_subquery()).values(taken).returning(table)
        return session.execute(claim).one_or_none()


def _hand_over(database: Database, mailer: Mailer, row: Any, sender: str) -> bool:
    """Whether there is a server to give the next one to."""
    try:
        mailer.send(_message(row, sender))
    except NotSent as error:
        _put_off(database, row, error)
        return not isinstance(error, Unreachable)
    except Exception as error:  # whatever is wrong with one mail must not keep the others
        log.error("mail_failed", mail_id=str(row.id), error=type(error.__cause__ or error).__name__)
        _mark(database, row.id, failed_at=utcnow())
        return True
    _mark(database, row.id, sent_at=utcnow())
    return True


def _put_off(database: Database, row: Any, error: NotSent) -> None:
    now = utcnow()
    pause = min(FIRST_BACKOFF * 2 ** min(row.attempts, DOUBLINGS), LONGEST_BACKOFF)
    failed_at = now if row.created_at < now - GIVEN_UP_AFTER else None
    attempts = row.attempts + 1
    log.warning("mail_not_sent", mail_id=str(row.id), attempts=attempts, error=type(error.__cause__ or error).__name__)
    _mark(database, row.id, attempts=attempts, claimed_at=None, due_at=now + pause, failed_at=failed_at)


def _mark(database: Database, id: UUID, **values: Any) -> None:
    with database.transaction() as session:
        session.execute(update(table).where(table.c.id == id).values(values))


class _Folding(EmailPolicy):
    """Python's own, but for subjects in other letters than ASCII, where it loses spaces between the lines."""

    def fold(self, name: str, value: str) -> str:
        if name.lower() != "subject" or value.isascii():
            return super().fold(name, value)
        return f"{name}: {Header(value, 'utf-8', header_name=name).encode(linesep=self.linesep)}{self.linesep}"

    def fold_binary(self, name: str, value: str) -> bytes:
        return self.fold(name, value).encode("ascii")


def _message(row: Any, sender: str) -> EmailMessage:
    message = EmailMessage(_Folding())
    message["From"], message["To"], message["Subject"] = sender, row.recipient, row.subject
    message["Date"] = formatdate(row.created_at.timestamp())
    message["Message-ID"] = f"<{row.id}@{sender.rpartition('@')[2].rstrip('>') or 'localhost'}>"
    message.set_content(row.text)
    message.add_alternative(row.html, subtype="html")
    return message


class SmtpMailer:
    """smtp://user:password@host:port, smtps:// for TLS from the start; STARTTLS is used where it is offered.

    A certificate must be good for smtps, and for STARTTLS when a password follows; else a relay may sign its own. A
    password is never sent without TLS, unless smtp+plain:// says that the network is safe.
    """

    is_repeatable = False

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)

    def send(self, message: EmailMessage) -> None:
        try:
            server = self._connect()
        except (OSError, smtplib.SMTPException) as error:
            raise Unreachable from error
        try:
            server.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            for_good = all(code >= PERMANENT for code, _ in error.recipients.values())
            raise (Rejected if for_good else NotSent) from error
        except smtplib.SMTPResponseException as error:
            raise NotSent from error
        except (OSError, smtplib.SMTPServerDisconnected) as error:
            raise Uncertain from error
        finally:
            with suppress(OSError, smtplib.SMTPException):  # the answer to the message counts, not that to the goodbye
                server.quit()

    def _connect(self) -> smtplib.SMTP:
        host, url = self._url.hostname or "localhost", self._url
        verified = ssl.create_default_context()  # smtplib by itself looks at no certificate
        if url.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, url.port or 465, timeout=TIMEOUT_SECONDS, context=verified)
        else:
            server = smtplib.SMTP(host, url.port or 25, timeout=TIMEOUT_SECONDS)
            server.ehlo()
            if server.has_extn("starttls"):
                server.starttls(context=verified if url.username else None)
            elif url.username and url.scheme != PLAIN:
                server.close()
                raise smtplib.SMTPNotSupportedError("the server offers no TLS, and the password would be sent in clear")
        if url.username:
            server.login(unquote(url.username), unquote(url.password or ""))
        return server


class FolderMailer:
    """Each mail as an .eml file in a folder, for a store that has no mail server."""

    is_repeatable = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, message: EmailMessage) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            part = self._folder / f".{new_id()}.part"
            part.write_bytes(bytes(message))
            part.rename(self._folder / f"{message['Message-ID'].strip('<>').partition('@')[0]}.eml")
        except OSError as error:
            raise Unreachable from error


def open_mailer(config: ServiceConfig) -> Mailer:
    """The mailer that MAIL_URL names: smtp://…, smtps://…, smtp+plain://… or file:///folder."""
    scheme, _, rest = config.mail_url.partition("://")
    if scheme in ("smtp", "smtps", PLAIN):
        return SmtpMailer(config.mail_url)
    if scheme == "file":
        return FolderMailer(Path(rest))
    raise ValueError("MAIL_URL must be smtp://, smtps://, smtp+plain:// or file://")


def send_mail(database: Database, config: ServiceConfig) -> None:
    """For a worker's timer: send all that is due."""
    send_due(database, open_mailer(config), config.mail_sender)


def prune_mail(database: Database, config: ServiceConfig) -> None:
    """For a worker's timer: remove old mail, batch by batch."""
    before = utcnow() - config.mail_retention
    more = True
    while more:
        with database.transaction() as session:
            more = remove_old(session, before) == REMOVED_AT_ONCE
