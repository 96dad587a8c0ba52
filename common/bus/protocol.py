"""What the rest of the code knows of a bus."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from common.events import Envelope

Deliver = Callable[[Sequence[Envelope]], object]


class BusUnavailable(Exception):
    """The bus cannot be reached, or did not confirm; nothing may be taken as published."""


class Bus(Protocol):
    """At-least-once delivery, in the order of publication, to one queue per consuming service."""

    def declare(self, queue: str, names: Collection[str]) -> None:
        """Make `queue` exist and receive the events of these names from now on. Raises BusUnavailable.

        What it received already it receives still: another version of the service may know more of them.
        """

    def unbind(self, queue: str, names: Collection[str]) -> None:
        """Have `queue` receive no events of these names any more. Raises BusUnavailable."""

    def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Hand over these events in order; returns when all are confirmed. Raises BusUnavailable."""

    def consume(self, queue: str, deliver: Deliver, stop: threading.Event) -> None:
        """Give `queue`'s events to `deliver` in batches, in order, until `stop` is set.

        A batch is acknowledged after `deliver` returned; while it raises, the same batch is tried again.
        Of several consumers of a queue one is active at a time. Reconnects by itself.
        """

    def set_aside(self, queue: str) -> int:
        """How many messages of `queue` were not events at all and went to the dead-letter queue."""

    def ping(self) -> None:
        """Raises BusUnavailable when the bus cannot be reached."""

    def close(self) -> None: ...


def open_bus(url: str, client: str) -> Bus:
    """The bus that `url` names: amqp(s)://… or postgresql://…; `client` is shown to the server's operator."""
    scheme = url.partition("://")[0].partition("+")[0]
    if scheme in ("amqp", "amqps"):
        from common.bus.rabbitmq import RabbitMQBus  # noqa: PLC0415 - only the chosen client is loaded

        return RabbitMQBus(url, client)
    if scheme in ("postgresql", "postgres"):
        from common.bus.postgres import PostgresBus  # noqa: PLC0415

        return PostgresBus(url, client)
    raise ValueError(f"EVENT_BUS_URL: {scheme}:// is neither amqp:// nor postgresql://")
