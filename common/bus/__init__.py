"""The way of events between services: RabbitMQ, or Postgres where there is no broker. The URL chooses."""

from __future__ import annotations

from common.bus.protocol import Bus, BusUnavailable, Deliver, open_bus

__all__ = ["Bus", "BusUnavailable", "Deliver", "open_bus"]
