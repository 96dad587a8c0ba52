"""A process of the store with a bug: `python -m devstack.chaos.mutant no-inbox catalog_service worker`.

The bug is put into the running code from outside, so that the store itself knows of none.
"""

from __future__ import annotations

import importlib
import os
import runpy
import secrets
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import UUID

from common import inbox, mail, outbox
from common.bus import Bus, BusUnavailable, open_bus
from common.bus.postgres import PostgresBus
from common.bus.rabbitmq import RabbitMQBus, _Consumer
from common.events import Envelope
from common.ids import new_id


def no_inbox() -> None:
    """Every delivery counts as a new event, also the second of the same one."""
    stage, seen = inbox.stage, set[UUID]()

    def forgetful(database: Any, envelopes: Sequence[Envelope]) -> int:
        staged = stage(database, [replace(each, id=new_id()) if each.id in seen else each for each in envelopes])
        seen.update(each.id for each in envelopes)
        return staged

    inbox.stage = forgetful


def no_charge_key() -> None:
    """The provider cannot know that it was asked before."""
    simulator = importlib.import_module("order_service.payments.simulator").Simulator
    charge = simulator.charge

    def keyless(self: Any, _key: str, *args: Any, **kwargs: Any) -> Any:
        return charge(self, secrets.token_hex(16), *args, **kwargs)

    simulator.charge = keyless


def unconditional_decrement() -> None:
    """Nobody looks whether there is enough, and no rule of the table does either."""
    reservations: Any = importlib.import_module("catalog_service.domain.reservations")
    reservations._short_lines = lambda *_: []


def ack_before_commit() -> None:
    """The broker may forget an event before it is in the inbox."""
    take, settle = PostgresBus._take, _Consumer._settle

    def hasty_take(self: PostgresBus, queue: str, deliver: Callable[[Sequence[Envelope]], object]) -> bool:
        taken: list[Envelope] = []
        more = take(self, queue, taken.extend)
        if taken:
            deliver(taken)
        return more

    def hasty_settle(self: _Consumer) -> None:
        self._channel.basic_ack(self._received[-1][0], multiple=True)
        self._channel.connection.process_data_events(time_limit=0)
        self._channel = _Deaf(self._channel)
        settle(self)
        self._channel = self._channel.channel

    PostgresBus._take, _Consumer._settle = hasty_take, hasty_settle  # type: ignore[method-assign]


class _Deaf:
    """A channel on which everything has been acknowledged already."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel

    def __getattr__(self, name: str) -> Any:
        return getattr(self.channel, name)

    def basic_ack(self, *_: object, **__: object) -> None: ...


def no_confirms() -> None:
    """What was handed to the broker counts as arrived, whatever it says."""
    for kind in (PostgresBus, RabbitMQBus):
        kind.publish = _trusting(kind.publish)  # type: ignore[method-assign]


def _trusting(publish: Callable[..., None]) -> Callable[..., None]:
    def trusting(self: Bus, envelopes: Sequence[Envelope]) -> None:
        def hand_over() -> None:
            with suppress(BusUnavailable):
                publish(self, envelopes)

        threading.Thread(target=hand_over, daemon=True).start()

    return trusting


def publish_before_commit() -> None:
    """Others hear of what may yet be rolled back."""
    opened: list[Bus] = []

    def hasty(session: Any, events: Any) -> None:
        session.flush()
        if not opened:
            opened.append(open_bus(os.environ["EVENT_BUS_URL"], "hasty"))
        opened[0].publish([Envelope(**outbox._row(event)) for event in events])

    outbox.record_all = hasty


def unheeded_news() -> None:
    """News of the stock are handled, and nothing comes of it."""
    books: Any = importlib.import_module("order_service.domain.books")
    books.take_over_stock = lambda *_: None


def forgotten_mail() -> None:
    """What nobody has sent counts as sent."""
    mail.FolderMailer.send = lambda *_: None  # type: ignore[method-assign]


BUGS: dict[str, Callable[[], None]] = {
    "none": lambda: None,
    "no-inbox": no_inbox,
    "no-charge-key": no_charge_key,
    "unconditional-decrement": unconditional_decrement,
    "ack-before-commit": ack_before_commit,
    "no-confirms": no_confirms,
    "publish-before-commit": publish_before_commit,
    "unheeded-news": unheeded_news,
    "forgotten-mail": forgotten_mail,
}


def main() -> None:
    bug, package, *command = sys.argv[1:]
    BUGS[bug]()
    sys.argv = [package, *command]
    runpy.run_module(package, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
