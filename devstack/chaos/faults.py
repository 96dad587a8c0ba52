"""What happens to the store while people buy: each fault is over, but for its consequences, when it returns."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing, suppress

import psycopg2

from common.failpoints import NAMES
from devstack.chaos.arena import Arena

VICTIMS = ("order-web", "order-worker", "catalog-web", "catalog-worker", "gateway", "review-worker", "auth-web")
WORKERS = ("order-worker", "catalog-worker")
PUBLISHERS = ("orders", "catalog")
LONGEST_DELAY_SECONDS = 1.5
CRASH_WITHIN_SECONDS = 5.0
REPEATED_AT_ONCE = 40

Fault = Callable[[Arena, random.Random], str]

# Time passes for whoever waits for a request whose process is dead; the leases are for half a minute.
HURRY = (
    "UPDATE orders.idempotency_keys SET running_until = now() WHERE running_until > now()",
    "UPDATE orders.payments SET created_at = created_at - interval '1 minute',"
    " asked_at = asked_at - interval '1 minute' WHERE status = 'PROCESSING'",
)


def kill(arena: Arena, chance: random.Random) -> str:
    """By kill -9, at any moment."""
    victim = chance.choice(VICTIMS)
    arena.kill(victim)
    arena.start(victim)
    return f"kill -9 {victim}"


def crash_at_a_line(arena: Arena, chance: random.Random) -> str:
    """Between two steps that must not come apart."""
    victim, site = (
        chance.choice(WORKERS),
        chance.choice([each for each in NAMES if not each.startswith(("request", "payment"))]),
    )
    arena.kill(victim)
    arena.start(victim, FAIL_POINT=f"{site}:{chance.randint(1, 5)}")
    if arena.has_ended(victim, within=CRASH_WITHIN_SECONDS):
        arena.start(victim)
        return f"{victim} crashed at {site}"
    arena.kill(victim)
    arena.start(victim)
    return f"kill -9 {victim}"


def restart_broker(arena: Arena, chance: random.Random) -> str:
    arena.broker.restart(arena.store.admin_url, chance.uniform(0.2, LONGEST_DELAY_SECONDS))
    return "the broker restarted"


def crash_database(arena: Arena, _chance: random.Random) -> str:
    arena.crash_database()
    return "the database crashed"


def repeat(arena: Arena, chance: random.Random) -> str:
    """Events that were published come once more, late and out of their order."""
    schema = chance.choice(PUBLISHERS)
    arena.query(
        f"UPDATE {schema}.outbox SET sent_at = NULL WHERE id IN"  # noqa: S608 - one of our own schemas
        f" (SELECT id FROM {schema}.outbox WHERE sent_at IS NOT NULL ORDER BY random() LIMIT {REPEATED_AT_ONCE})"
    )
    return f"events of {schema} repeated"


def delay(arena: Arena, chance: random.Random) -> str:
    """Nothing that this service tells leaves it for a while; what others hold is put off."""
    schema, seconds = chance.choice(PUBLISHERS), chance.uniform(0.2, LONGEST_DELAY_SECONDS)
    with closing(psycopg2.connect(arena.store.admin_url, connect_timeout=5)) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"{schema}.relay"])
            cursor.execute(
                f"UPDATE {schema}.inbox SET due_at = now() + %s * interval '1 second' WHERE position IN"  # noqa: S608
                f" (SELECT position FROM {schema}.inbox WHERE handled_at IS NULL FOR UPDATE SKIP LOCKED)",
                [seconds],
            )
            cursor.execute("SELECT pg_sleep(%s)", [seconds])
        connection.commit()
    return f"events of {schema} delayed"


KINDS: tuple[tuple[Fault, int], ...] = (
    (kill, 8),
    (crash_at_a_line, 3),
    (restart_broker, 3),
    (crash_database, 1),
    (repeat, 3),
    (delay, 2),
)
"""With how often each comes."""


def schedule(number: int, chance: random.Random) -> list[Fault]:
    """So many faults, with one of each kind among them where there is room."""
    kinds, weights = [kind for kind, _ in KINDS], [weight for _, weight in KINDS]
    chosen = kinds[:number] + chance.choices(kinds, weights, k=max(0, number - len(kinds)))
    chance.shuffle(chosen)
    return chosen


def strike(arena: Arena, fault: Fault, chance: random.Random) -> str:
    """What was done. An earlier fault may stand in the way of this one, which is then one as well."""
    arena.revive()
    try:
        said = fault(arena, chance)
    except psycopg2.Error as error:
        said = f"{fault.__name__} found {type(error).__name__}"
    hurry(arena)
    return said


def hurry(arena: Arena) -> None:
    with suppress(psycopg2.Error):
        for statement in HURRY:
            arena.query(statement)
