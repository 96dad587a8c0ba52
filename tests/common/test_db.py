"""Connections of a process: how many, and that nobody waits for them in a circle."""

from __future__ import annotations

from contextlib import ExitStack

from sqlalchemy import text

from common.config import ServiceConfig
from common.db import Database

ONE = text("SELECT 1")


def test_who_holds_a_connection_gets_a_second_one_when_all_are_taken(config: ServiceConfig) -> None:
    database = Database(config, pool_size=1)
    with ExitStack() as held:
        for _ in range(3):
            held.enter_context(database.transaction()).execute(ONE)
        with database.aside() as beside:
            assert beside.scalar(ONE) == 1
    database.close()
