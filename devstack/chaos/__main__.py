"""python -m devstack.chaos storm | mutants: both end with 1 when it was not as it should be."""

from __future__ import annotations

import signal
import sys
import time

import click

from devstack.chaos import mutants as seeded
from devstack.chaos.arena import Arena
from devstack.chaos.brokers import BUSES
from devstack.chaos.buyers import GaveUp
from devstack.chaos.storm import Plan, rage

bus_option = click.option("--bus", type=click.Choice(BUSES), default="postgres", show_default=True)


@click.group()
def main() -> None:
    """A fault storm over a store of its own, which is gone afterwards."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


@main.command()
@click.option("--orders", type=click.IntRange(1), default=10_000, show_default=True)
@click.option("--faults", type=click.IntRange(0), default=150, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@bus_option
def storm(orders: int, faults: int, seed: int, bus: str) -> None:
    """Let people order scarce books while processes, broker and database die, and print the ledger."""
    say(f"{orders} orders, {faults} faults, seed {seed}, events by {bus}")
    began = time.monotonic()
    with Arena(bus) as arena:
        say(f"the store is ready ({time.monotonic() - began:.0f} s)")
        try:
            lines = rage(arena, Plan(orders, faults, seed), say)
        except GaveUp as error:
            say(f"{error}\n{arena.last_words()}")
            sys.exit(1)
    print(*lines, sep="\n")
    wrong = [line.name for line in lines if line.is_wrong]
    say(f"{'WRONG: ' + ', '.join(wrong) if wrong else 'all adds up'} ({time.monotonic() - began:.0f} s)")
    sys.exit(1 if wrong else 0)


@main.command()
@click.option("--only", type=click.Choice(list(seeded.MUTANTS)), multiple=True)
@bus_option
def mutants(only: tuple[str, ...], bus: str) -> None:
    """Seed bugs into the store, one after the other, and print by which line of the ledger each is found."""
    began = time.monotonic()
    differ = 0
    with Arena(bus) as arena:
        for name in only or seeded.MUTANTS:
            found = seeded.hunt(arena, seeded.MUTANTS[name])
            is_right = bool(found) != (name == seeded.HEALTHY)
            differ += not is_right
            told = f"found by: {', '.join(found)}" if found else "nothing found"
            say(f"{name:<26}{told}{'' if is_right else '  WRONG'}")
    say(f"{differ} not as they should be ({time.monotonic() - began:.0f} s)")
    sys.exit(1 if differ else 0)


def say(text: str) -> None:
    for line in text.splitlines():
        print(f"chaos: {line}", flush=True)


if __name__ == "__main__":
    main()
