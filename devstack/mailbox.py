"""A page on this machine that shows the mails of a store without a mail server."""

from __future__ import annotations

import html
import threading
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from devstack.topology import HOST

MOST_SHOWN = 100
CSP = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class Mailbox(ThreadingHTTPServer):
    """Lists the .eml files of a folder, the latest first, and shows each as text."""

    daemon_threads = True

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__((HOST, port), _Page)
        self.folder = folder

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.server_port}"

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, name="mailbox", daemon=True).start()

    def files(self) -> list[Path]:
        return sorted(self.folder.glob("*.eml"), reverse=True)[:MOST_SHOWN]


class _Page(BaseHTTPRequestHandler):
    server: Mailbox

    def do_GET(self) -> None:
        if self.headers.get("Host", "").partition(":")[0] not in ("localhost", HOST):
            self.send_error(421)  # another site's name that was made to lead here
            return
        name = self.path.removeprefix("/")
        found = next((each for each in self.server.files() if each.name == name), None)
        if name and found is None:
            self.send_error(404)
            return
        self._answer(_letter(found) if found else _list(self.server.files()))

    def _answer(self, body: str) -> None:
        page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Mail</title>{body}</html>'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Security-Policy", CSP)
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: links in mails are secrets, and so are their names."""


def _read(file: Path) -> EmailMessage:
    return message_from_bytes(file.read_bytes(), policy=policy.default)


def _list(files: list[Path]) -> str:
    letters = [(file.name, _read(file)) for file in files]
    rows = "".join(
        f'<li><a href="/{html.escape(name)}">{html.escape(str(each["Subject"]))}</a> to {html.escape(str(each["To"]))}'
        for name, each in letters
    )
    return f"<h1>Mail</h1><ul>{rows}</ul>" if rows else "<h1>Mail</h1><p>None yet.</p>"


def _letter(file: Path) -> str:
    letter = _read(file)
    part = letter.get_body(("plain",))
    text = html.escape(part.get_content()) if part else ""
    lines = [
        f'<a href="{word}">{word}</a>' if word.startswith(("http://", "https://")) else word
        for word in text.split("\n")
    ]
    head = f"<h1>{html.escape(str(letter['Subject']))}</h1><p>to {html.escape(str(letter['To']))}</p>"
    return f'<p><a href="/">All mails</a></p>{head}<pre style="white-space:pre-wrap">{chr(10).join(lines)}</pre>'
