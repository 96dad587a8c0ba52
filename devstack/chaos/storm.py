"""The storm itself: people buy what is scarce, faults strike, then everything must come to rest and add up."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

import psycopg2

from devstack.chaos import faults
from devstack.chaos.arena import Arena
from devstack.chaos.buyers import Client, Crowd, GaveUp, register
from devstack.chaos.ledger import Ledger, Line
from devstack.process import wait_until

BUYERS = 8
TITLES = 10
SCARCITY = 0.75
"""So many copies for every one that is wanted."""
COPIES_PER_ORDER = 1.5
LOOK_EVERY_SECONDS = 0.1
"""Seldom, since each look asks the database."""
SECONDS_PER_ORDER = 0.5
SECONDS_PER_FAULT = 20.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    orders: int
    faults: int
    seed: int
    settle_seconds: float = 240.0

    @property
    def seconds(self) -> float:
        """After these it is over, whatever has come of it."""
        return 120 + self.orders * SECONDS_PER_ORDER + self.faults * SECONDS_PER_FAULT


def rage(arena: Arena, plan: Plan, say: Say) -> list[Line]:
    """The ledger of a storm in this arena. Raises GaveUp when a buyer got no answer in time."""
    chance = random.Random(plan.seed)  # noqa: S311 - to be repeated, not to be secret
    deadline = time.monotonic() + plan.seconds
    books = stock_up(arena, TITLES, max(1, round(plan.orders * COPIES_PER_ORDER * SCARCITY / TITLES)), deadline)
    ledger = open_ledger(arena, books)
    people = [register(arena.gateway, deadline=deadline) for _ in range(BUYERS)]
    crowd = Crowd(people, books, plan.orders, plan.seed)
    crowd.start()
    try:
        _strike_all(arena, crowd, plan, chance, say)
        _revive_until(arena, lambda: crowd.is_done, plan)
        crowd.finish()
    finally:
        crowd.go_home()
    settle(arena, ledger, plan.settle_seconds)
    return ledger.lines(plan.orders, crowd.placed)


def _strike_all(arena: Arena, crowd: Crowd, plan: Plan, chance: random.Random, say: Say) -> None:
    """Each when its share of the orders has been placed, so that faults and orders end together."""
    planned = faults.schedule(plan.faults, chance)
    for number, fault in enumerate(planned):
        share = number * plan.orders // len(planned)
        _revive_until(arena, partial(_has_placed, crowd, share), plan)
        said = faults.strike(arena, fault, chance)
        say(f"{number + 1:>4}/{len(planned)}  {len(crowd.placed):>6} orders  {said}")


def _has_placed(crowd: Crowd, share: int) -> bool:
    return crowd.is_done or len(crowd.placed) >= share


def _revive_until(arena: Arena, is_due: Callable[[], bool], plan: Plan) -> None:
    """Start again whatever dies meanwhile."""
    wait_until(lambda: not arena.revive() and is_due(), plan.seconds, every=LOOK_EVERY_SECONDS)


def stock_up(arena: Arena, titles: int, copies: int, deadline: float) -> list[str]:
    """New books, so many of each; their ids."""
    account = arena.settings.accounts["admin"]
    staff = Client(arena.gateway, account.email, account.password, deadline=deadline)
    books = [_add_book(staff, f"Storm {uuid4().hex[:8]}", copies) for _ in range(titles)]
    wait_until(lambda: _are_known(arena, books), 30, every=LOOK_EVERY_SECONDS)
    return books


def _add_book(staff: Client, title: str, copies: int) -> str:
    made = staff.insist("POST", "/books", {"title": title, "price": "10.00", "authors": ["A. Tester"]})
    if made.status_code != 201:
        raise GaveUp(f"POST /books answered {made.status_code}: {made.text[:200]}")
    book_id = str(made.json()["id"])
    staff.insist("PATCH", f"/books/{book_id}/stock", {"on_hand": copies})
    return book_id


def _are_known(arena: Arena, books: Sequence[str]) -> bool:
    ((known,),) = arena.query("SELECT count(*) FROM orders.books WHERE book_id = ANY(%s::uuid[])", list(books))
    return bool(known == len(books))


def open_ledger(arena: Arena, books: Sequence[str]) -> Ledger:
    ((began,),) = arena.query("SELECT clock_timestamp()")
    return Ledger(arena.query, books, began, arena.settings.mail)


def settle(arena: Arena, ledger: Ledger, seconds: float) -> bool:
    """Whether everything came to rest in time, with all processes running and nothing done to them."""

    def is_settled() -> bool:
        arena.revive()
        faults.hurry(arena)
        with suppress(psycopg2.Error):
            return ledger.is_settled()
        return False

    return wait_until(is_settled, seconds, every=LOOK_EVERY_SECONDS)
