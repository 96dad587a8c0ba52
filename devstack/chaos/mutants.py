"""Bugs that the storm must find: each is seeded into one process, with a small storm aimed at it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from devstack.chaos import storm
from devstack.chaos.arena import Arena
from devstack.chaos.buyers import Crowd, register
from devstack.chaos.ledger import Ledger
from devstack.process import wait_until

HEALTHY = "none"
ORDERS = 12
BUYERS = 3
COPIES = 8
BOUND_SECONDS = 90.0
STRIKE_SECONDS = 20.0
AWAY_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug, the process that has it, and what brings it to light.

    `crash_at` names a line where the process dies, `aim` is what happens besides, and `struck` asks the database
    whether there was an opportunity for the bug; `relaxed` takes a rule of the database's away that would hide it.
    """

    bug: str
    process: str
    crash_at: str | None = None
    aim: Callable[[Arena, Crowd], None] | None = None
    struck: str | None = None
    relaxed: str | None = None
    copies: int = COPIES
    settle_seconds: float = 3.0


def repeat_orders(arena: Arena, crowd: Crowd) -> None:
    """All that was told of orders comes a second time."""
    _wait_for(crowd)
    arena.query("UPDATE orders.outbox SET sent_at = NULL WHERE name = 'orders.order_placed.v1' AND sent_at IS NOT NULL")


def restart_broker(arena: Arena, _crowd: Crowd) -> None:
    arena.broker.restart(arena.store.admin_url, AWAY_SECONDS)


MUTANTS = {
    each.bug: each
    for each in (
        # Without a bug nothing may be found, whatever happens.
        Mutant(HEALTHY, "order-worker", aim=restart_broker, settle_seconds=60.0),
        Mutant("no-inbox", "catalog-worker", aim=repeat_orders),
        Mutant(
            "no-charge-key",
            "order-web",
            crash_at="payment.after_charge",
            struck="SELECT count(*) FROM orders.simulated_charges WHERE created_at >= %s",
            settle_seconds=15.0,
        ),
        Mutant("ack-before-commit", "catalog-worker", crash_at="pump.before_stage"),
        Mutant("no-confirms", "order-worker", aim=restart_broker),
        Mutant(
            "publish-before-commit",
            "order-web",
            crash_at="request.before_commit",
            struck="SELECT count(*) FROM catalog.reservations r WHERE created_at >= %s"
            " AND NOT EXISTS (SELECT FROM orders.orders o WHERE o.id = r.order_id)",
        ),
        Mutant("unheeded-news", "order-worker"),
        Mutant("forgotten-mail", "order-worker"),
        # The last, since the rule does not come back.
        Mutant(
            "unconditional-decrement",
            "catalog-worker",
            relaxed="ALTER TABLE catalog.books DROP CONSTRAINT ck_books_ck_books_stock",
            copies=1,
        ),
    )
}


def hunt(arena: Arena, mutant: Mutant) -> list[str]:
    """The lines of the ledger that are wrong, with their figures; none when the bug was not found."""
    deadline = time.monotonic() + BOUND_SECONDS
    books = storm.stock_up(arena, 1, mutant.copies, deadline)
    ledger = storm.open_ledger(arena, books)
    crowd = Crowd([register(arena.gateway, deadline=deadline) for _ in range(BUYERS)], books, ORDERS, mutant.bug)
    wait_until(ledger.is_settled, BOUND_SECONDS)  # the bug is for the news of orders, not for those of the buyers
    if mutant.relaxed:
        arena.query(mutant.relaxed)
    crash = {"FAIL_POINT": mutant.crash_at} if mutant.crash_at else {}
    arena.restart(mutant.process, through=("devstack.chaos.mutant", mutant.bug), **crash)
    crowd.start()
    try:
        _provoke(arena, mutant, crowd, ledger)
        _wait_for(crowd)
        crowd.finish()
    finally:
        crowd.go_home()
    storm.settle(arena, ledger, mutant.settle_seconds)
    wrong = [f"{line.name} {line.value}" for line in ledger.lines(ORDERS, crowd.placed) if line.is_wrong]
    arena.restart(mutant.process)
    return wrong


def _provoke(arena: Arena, mutant: Mutant, crowd: Crowd, ledger: Ledger) -> None:
    """Give the bug its opportunity; what crashed goes on without it, as after an update."""
    if mutant.aim:
        mutant.aim(arena, crowd)
    if mutant.struck:
        statement = mutant.struck
        wait_until(
            lambda: arena.query(statement, ledger.began)[0][0] > 0, STRIKE_SECONDS, every=storm.LOOK_EVERY_SECONDS
        )
        arena.restart(mutant.process)
    elif mutant.crash_at:
        arena.has_ended(mutant.process, within=STRIKE_SECONDS)
        arena.restart(mutant.process)


def _wait_for(crowd: Crowd) -> None:
    wait_until(lambda: crowd.is_done, BOUND_SECONDS)
