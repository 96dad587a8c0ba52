"""Mail: after the commit, once, again when it certainly did not go, and never when it may have gone."""

from __future__ import annotations

import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from jinja2 import DictLoader, Environment
from sqlalchemy import select, update

from common import mail
from common.db import Database, utcnow
from common.health import Draining
from common.ids import first_id, new_id
from devstack.ports import free_port
from tests.common.toy import ToyConfig
from tests.support.serving import serving

SENDER = "Bookstore <shop@bookstore.example>"
REFUSALS = {"refuse": "450 mailbox busy", "reject": "550 nobody of that name"}


class SmtpServer(socketserver.ThreadingTCPServer):
    """Takes mail as RFC 5321 has it; `behaviour` is what it does with mail: take, refuse, reject or break."""

    allow_reuse_address = daemon_threads = True
    behaviour = "take"

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Conversation)
        self.taken: list[bytes] = []
        self.tls = tls

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.server_address[1]}"


class Conversation(socketserver.StreamRequestHandler):
    server: SmtpServer

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def is_secured(self, tls: ssl.SSLContext) -> bool:
        with suppress(OSError):
            self.request = tls.wrap_socket(self.request, server_side=True)
            self.setup()
            return True
        return False

    def handle(self) -> None:
        self.say("220 ready")
        while line := self.rfile.readline().decode().strip().upper():
            if line.startswith("EHLO") and self.server.tls:
                self.say("250-here\r\n250-AUTH PLAIN\r\n250 STARTTLS")
            elif line.startswith("EHLO"):
                self.say("250-here\r\n250 AUTH PLAIN")
            elif line.startswith("AUTH"):
                self.say("235 welcome")
            elif line == "STARTTLS" and self.server.tls:
                self.say("220 go on")
                if not self.is_secured(self.server.tls):
                    return
            elif line.startswith("RCPT") and self.server.behaviour in REFUSALS:
                self.say(REFUSALS[self.server.behaviour])
            elif line == "DATA":
                self.say("354 go on")
                message = b"".join(iter(self.rfile.readline, b".\r\n"))
                if self.server.behaviour == "break":
                    return
                self.server.taken.append(message)
                self.say("250 taken")
            elif line == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")


@pytest.fixture(autouse=True)
def at_work(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when the process is told to stop."""
    monkeypatch.setattr(Draining, "begun", threading.Event())
    return Draining.begun


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    with serving(SmtpServer()) as server:
        yield server


@pytest.fixture
def posted(database: Database) -> Iterator[Database]:
    """A database in which one mail waits."""
    mail.metadata.create_all(database.engine)
    with database.transaction() as session:
        for _ in range(2):
            mail.post(session, key="one", to="ann@example.com", template=TEMPLATE, context=CONTEXT)
    yield database
    mail.metadata.drop_all(database.engine)


TEMPLATE = mail.Template("auth_service", "verify_email")
CONTEXT = {"username": "<b>Ann</b>", "link": "https://books.example/x?token=1"}


def post(database: Database, key: str) -> None:
    with database.transaction() as session:
        mail.post(session, key=key, to=f"{key.partition(' ')[0]}@example.com", template=TEMPLATE, context=CONTEXT)


def state(database: Database) -> Any:
    with database.read() as session:
        return session.execute(mail.table.select()).one()


def due_now(database: Database) -> None:
    with database.transaction() as session:
        session.execute(update(mail.table).values(due_at=utcnow() - timedelta(seconds=1)))


def test_a_mail_is_sent_once_as_text_and_html(posted: Database, smtp: SmtpServer) -> None:
    mailer = mail.SmtpMailer(smtp.url)
    assert [mail.send_due(posted, mailer, SENDER) for _ in range(2)] == [1, 0]
    (taken,) = smtp.taken
    message = message_from_bytes(taken)
    assert (message["To"], message["Subject"]) == ("ann@example.com", "Confirm your mail address")
    text, html = (str(part.get_payload(decode=True), "utf-8") for part in message.get_payload())
    assert "<b>Ann</b>" in text
    assert "&lt;b&gt;Ann&lt;/b&gt;" in html
    assert state(posted).sent_at is not None


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that a server on 127.0.0.1 has signed for itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(utcnow() - timedelta(days=1)).not_valid_after(utcnow() + timedelta(days=1))
    itself = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    signed = made.add_extension(itself, critical=False).sign(key, hashes.SHA256())
    unlocked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(signed.public_bytes(Encoding.PEM) + unlocked)
    return path


@pytest.mark.parametrize(
    ("given", "is_trusted", "sent"), [("ann:secret@", False, 0), ("ann:secret@", True, 1), ("", False, 1)]
)
def test_a_password_goes_to_no_server_that_only_signs_for_itself(
    posted: Database,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: str,
    is_trusted: bool,
    sent: int,
) -> None:
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    with serving(SmtpServer(tls)) as server:
        mail.send_due(posted, mail.SmtpMailer(server.url.replace("//", f"//{given}")), SENDER)
    assert len(server.taken) == sent
    assert (state(posted).sent_at is not None, state(posted).attempts) == (bool(sent), 1 - sent)


@pytest.mark.parametrize(("scheme", "sent"), [("smtp", 0), ("smtp+plain", 1)])
def test_a_password_goes_over_no_connection_in_clear_unless_told_so(
    posted: Database, smtp: SmtpServer, config: ToyConfig, scheme: str, sent: int
) -> None:
    url = smtp.url.replace("smtp://", f"{scheme}://ann:secret@")
    mail.send_due(posted, mail.open_mailer(replace(config, mail_url=url)), SENDER)
    assert len(smtp.taken) == sent
    assert (state(posted).sent_at is not None, state(posted).failed_at) == (bool(sent), None)


@pytest.mark.parametrize(("is_trusted", "sent"), [(False, 0), (True, 1)])
def test_smtps_is_spoken_only_with_who_proves_to_be_the_server(
    posted: Database, certificate: Path, monkeypatch: pytest.MonkeyPatch, is_trusted: bool, sent: int
) -> None:
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    with serving(SmtpServer()) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        monkeypatch.setattr(server, "handle_error", lambda *_: None)
        mail.send_due(posted, mail.SmtpMailer(server.url.replace("smtp:", "smtps:")), SENDER)
    assert len(server.taken) == sent


def test_what_was_refused_is_sent_later(posted: Database, smtp: SmtpServer) -> None:
    smtp.behaviour = "refuse"
    mailer = mail.SmtpMailer(smtp.url)
    assert mail.send_due(posted, mailer, SENDER) == 1
    row = state(posted)
    assert (row.attempts, row.sent_at, row.failed_at) == (1, None, None)
    assert row.due_at > utcnow()
    assert mail.send_due(posted, mailer, SENDER) == 0, "not before its time"
    smtp.behaviour = "take"
    due_now(posted)
    assert mail.send_due(posted, mailer, SENDER) == 1
    assert len(smtp.taken) == 1


def test_a_server_that_is_down_for_days_loses_nothing(posted: Database, smtp: SmtpServer) -> None:
    post(posted, "two")
    away = mail.SmtpMailer(f"smtp://127.0.0.1:{free_port()}")
    for _ in range(100):
        due_now(posted)
        assert mail.send_due(posted, away, SENDER) == 1, "the second would fail just the same"
    due_now(posted)
    assert mail.send_due(posted, mail.SmtpMailer(smtp.url), SENDER) == 2
    assert len(smtp.taken) == 2


def test_what_could_not_be_sent_for_days_is_given_up(posted: Database) -> None:
    long_ago = utcnow() - mail.GIVEN_UP_AFTER - timedelta(minutes=1)
    with posted.transaction() as session:
        session.execute(update(mail.table).values(created_at=long_ago))
    assert mail.send_due(posted, mail.SmtpMailer(f"smtp://127.0.0.1:{free_port()}"), SENDER) == 1
    assert state(posted).failed_at is not None


def test_an_address_that_is_none_is_not_asked_again(posted: Database, smtp: SmtpServer) -> None:
    smtp.behaviour = "reject"
    assert mail.send_due(posted, mail.SmtpMailer(smtp.url), SENDER) == 1
    row = state(posted)
    assert (row.attempts, row.failed_at is not None, row.sent_at) == (0, True, None)


@pytest.mark.parametrize("end", ["\u2028", "\x85", "\x0b", "\x0c", "\x1c"])
def test_a_title_cannot_break_a_subject(posted: Database, smtp: SmtpServer, end: str) -> None:
    pages = {"x.txt": "Subject: Back: {{ title }}\n\nHere.", "x.html": "Here."}
    environment = Environment(loader=DictLoader(pages), autoescape=True)
    with pytest.MonkeyPatch.context() as patch, posted.transaction() as session:
        patch.setattr(mail, "_environment", lambda _package: environment)
        session.execute(mail.table.delete())
        mail.post(
            session, key="t", to="a@example.com", template=mail.Template("-", "x"), context={"title": f"Poi{end}son"}
        )
    mail.send_due(posted, mail.SmtpMailer(smtp.url), SENDER)
    assert message_from_bytes(smtp.taken[0])["Subject"] == "Back: Poi son"


@pytest.mark.parametrize(
    "subject",
    [
        "It is here: Les histoire Война Misérables Война große de of 'über' quick Война in 物語",
        "It is here: 戦争と平和 " * 20 + "🎉",
        "It is here: A title in plain letters that is so long that it takes more than a single line of a header",
    ],
)
def test_a_long_subject_keeps_its_words_apart(posted: Database, smtp: SmtpServer, tmp_path: Path, subject: str) -> None:
    with posted.transaction() as session:
        session.execute(update(mail.table).values(subject=subject.strip()))
    mail.send_due(posted, mail.SmtpMailer(smtp.url), SENDER)
    mail.FolderMailer(tmp_path).send(mail._message(state(posted), SENDER))
    for sent in (*smtp.taken, *(file.read_bytes() for file in tmp_path.iterdir())):
        assert message_from_bytes(sent, policy=default)["Subject"] == subject.strip()
        assert max(map(len, sent.splitlines())) <= 998


def test_a_mail_that_cannot_be_written_does_not_keep_the_others(posted: Database, smtp: SmtpServer) -> None:
    with posted.transaction() as session:
        session.execute(update(mail.table).values(subject="Poi\u2028son"))
    for number in range(3):
        post(posted, f"well {number}")
    assert mail.send_due(posted, mail.SmtpMailer(smtp.url), SENDER) == 4
    assert len(smtp.taken) == 3
    with posted.read() as session:
        failed = session.scalars(select(mail.table.c.key).where(mail.table.c.failed_at.is_not(None))).all()
    assert failed == ["one"]


class Dying:
    """The process dies while a mail is in its hands."""

    def __init__(self, *, is_repeatable: bool) -> None:
        self.is_repeatable = is_repeatable

    def send(self, _message: EmailMessage) -> None:
        raise KeyboardInterrupt


def test_a_killed_worker_loses_at_most_the_mail_in_its_hands(posted: Database, smtp: SmtpServer) -> None:
    post(posted, "two")
    with pytest.raises(KeyboardInterrupt):
        mail.send_due(posted, Dying(is_repeatable=False), SENDER)
    due_now(posted)
    assert mail.send_due(posted, mail.SmtpMailer(smtp.url), SENDER) == 1


def test_a_killed_worker_loses_nothing_where_a_second_copy_does_no_harm(posted: Database, tmp_path: Path) -> None:
    folder = mail.FolderMailer(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        mail.send_due(posted, Dying(is_repeatable=True), SENDER)
    assert mail.send_due(posted, folder, SENDER) == 0, "it may still be on its way"
    for _ in range(2):
        with posted.transaction() as session:
            session.execute(update(mail.table).values(due_at=utcnow() - timedelta(seconds=1), sent_at=None))
        assert mail.send_due(posted, folder, SENDER) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_who_is_told_to_stop_begins_no_further_mail(
    posted: Database, smtp: SmtpServer, at_work: threading.Event
) -> None:
    at_work.set()
    assert mail.send_due(posted, mail.SmtpMailer(smtp.url), SENDER) == 0
    assert state(posted).claimed_at is None


def test_what_may_have_gone_is_not_sent_again(posted: Database, smtp: SmtpServer) -> None:
    smtp.behaviour = "break"
    mail.send_due(posted, mail.SmtpMailer(smtp.url), SENDER)
    assert state(posted).failed_at is not None
    due_now(posted)
    assert mail.send_due(posted, mail.SmtpMailer(smtp.url), SENDER) == 0


def test_a_transaction_that_fails_sends_nothing(posted: Database) -> None:
    def fail() -> None:
        with posted.transaction() as session:
            mail.post(session, key="two", to="bob@example.com", template=TEMPLATE, context=CONTEXT)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert state(posted).key == "one"


def test_without_a_server_mails_are_files(posted: Database, tmp_path: Path) -> None:
    mailer = mail.FolderMailer(tmp_path / "mail")
    mail.send_due(posted, mailer, SENDER)
    (file,) = (tmp_path / "mail").iterdir()
    assert message_from_bytes(file.read_bytes())["To"] == "ann@example.com"
    assert file.stem == str(state(posted).id)
    (tmp_path / "taken").write_text("a file where the folder should be")
    with pytest.raises(mail.NotSent):
        mail.FolderMailer(tmp_path / "taken").send(EmailMessage())


def test_what_is_over_is_removed_after_a_while_and_what_waits_is_not(
    posted: Database, smtp: SmtpServer, config: ToyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail, "REMOVED_AT_ONCE", 2)
    long_ago = utcnow() - config.mail_retention - timedelta(minutes=1)
    with posted.transaction() as session:
        session.execute(mail.table.delete())
    for state_of_it in ("sent_at", "sent_at", "failed_at", "claimed_at", None):
        write(posted, long_ago, state_of_it)
    write(posted, utcnow() - config.mail_retention + timedelta(minutes=1), "sent_at")
    mail.prune_mail(posted, config)
    with posted.read() as session:
        kept = session.scalars(select(mail.table.c.key).order_by(mail.table.c.id)).all()
    assert [key.partition(":")[0] for key in kept] == ["None", "sent_at"]


def write(database: Database, at: datetime, state_of_it: str | None) -> None:
    id = UUID(int=first_id(at).int + new_id().int % 2**64)
    row = {"id": id, "key": f"{state_of_it}:{id}", "recipient": "a@example.com", "subject": "", "text": "", "html": ""}
    row |= {"created_at": at, "due_at": at, **({state_of_it: at} if state_of_it else {})}
    with database.transaction() as session:
        session.execute(mail.table.insert().values(row))
