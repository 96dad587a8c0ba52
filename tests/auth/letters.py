"""The mails that the auth service has written, as a person reads them."""

from __future__ import annotations

import re
from typing import Any

from common import mail
from common.db import Database


def written(database: Database) -> list[Any]:
    with database.read() as session:
        return list(session.execute(mail.table.select().order_by(mail.table.c.created_at)).all())


def subjects(database: Database) -> list[str]:
    return [each.subject for each in written(database)]


def token_in(letter: Any) -> str:
    found = re.search(r"\?token=([\w-]+)", letter.text)
    assert found, letter.text
    assert found.group(1) in letter.html
    return found.group(1)
