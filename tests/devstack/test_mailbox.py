"""The page that shows the mails of a store without a mail server."""

from __future__ import annotations

from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
import requests

from common.ids import new_id
from common.mail import FolderMailer
from devstack.mailbox import Mailbox


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with Mailbox(tmp_path, 0) as mailbox:
        mailbox.start()
        yield f"http://127.0.0.1:{mailbox.server_address[1]}"
        mailbox.shutdown()


def letter(subject: str) -> EmailMessage:
    message = EmailMessage()
    message["To"], message["Subject"] = "ann@example.com", subject
    message["Message-ID"] = f"<{new_id()}@bookstore.example>"
    message.set_content("Open\nhttp://localhost:8000/x?token=1&y=2\n<script>")
    return message


def test_mails_are_listed_and_shown(address: str, tmp_path: Path) -> None:
    assert "None yet" in requests.get(address, timeout=5).text
    for subject in ("One", "<Two>"):
        FolderMailer(tmp_path).send(letter(subject))
    page = requests.get(address, timeout=5).text
    assert page.index("&lt;Two&gt;") < page.index("One")
    name = sorted(tmp_path.glob("*.eml"))[0].name
    shown = requests.get(f"{address}/{name}", timeout=5).text
    assert '<a href="http://localhost:8000/x?token=1&amp;y=2">' in shown
    assert "<script>" not in shown


def test_nothing_else_is_served(address: str, tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{}")
    for path in ("/secrets.json", "/../secrets.json", "/x.eml"):
        assert requests.get(f"{address}{path}", timeout=5).status_code == 404
    assert requests.get(address, headers={"Host": "evil.example"}, timeout=5).status_code == 421
