"""Events through RabbitMQ: one topic exchange, one quorum queue per consuming service, and a dead-letter exchange.

A queue has a single active consumer, which stages what arrives in the service's inbox; the others stand by. So
the order of publication survives, and the work itself is shared behind the inbox (docs/adr/0002).
`amqp://…/vhost?namespace=x` prefixes every name, which lets several stores share a broker.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit
from uuid import UUID

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, ChannelClosedByBroker

from common.bus.protocol import BusUnavailable, Deliver
from common.bus.rabbitmq_publisher import ConfirmingPublisher
from common.events import Envelope
from common.failpoints import reach
from common.telemetry import get_logger

PREFETCH = 200
LONGEST_PAUSE_SECONDS = 5.0
# Redelivery is never a reason to drop an event here (the inbox decides that), and 4.x would after 20 times.
DELIVERY_LIMIT = 1_000_000
log = get_logger(__name__)


class RabbitMQBus:
    def __init__(self, url: str, client: str) -> None:
        address, namespace = _split_namespace(url)
        self._parameters = pika.URLParameters(address)
        self._parameters.heartbeat = 30
        self._parameters.blocked_connection_timeout = 20
        self._parameters.socket_timeout = 5
        self._parameters.stack_timeout = 10
        self._parameters.client_properties = {"connection_name": client}
        self.exchange = f"{namespace}events"
        self._dead_exchange = f"{namespace}events.dead"
        self._namespace = namespace
        self._publisher = ConfirmingPublisher(self._parameters, self.exchange)

    def declare(self, queue: str, names: Collection[str]) -> None:
        name, dead = self._queue(queue), self._dead_queue(queue)
        with self._channel() as channel:
            channel.exchange_declare(self.exchange, "topic", durable=True)
            channel.exchange_declare(self._dead_exchange, "direct", durable=True)
            channel.queue_declare(dead, durable=True, arguments={"x-queue-type": "quorum"})
            channel.queue_bind(dead, self._dead_exchange, routing_key=name)
            channel.queue_declare(name, durable=True, arguments=self._arguments(name))
            for event_name in names:
                channel.queue_bind(name, self.exchange, routing_key=event_name)

    def unbind(self, queue: str, names: Collection[str]) -> None:
        with self._channel() as channel:
            for event_name in names:
                channel.queue_unbind(self._queue(queue), self.exchange, routing_key=event_name)

    def _arguments(self, name: str) -> dict[str, Any]:
        return {
            "x-queue-type": "quorum",
            "x-single-active-consumer": True,
            "x-dead-letter-exchange": self._dead_exchange,
            "x-dead-letter-routing-key": name,
            "x-delivery-limit": DELIVERY_LIMIT,
        }

    def publish(self, envelopes: Sequence[Envelope]) -> None:
        self._publisher.publish(envelopes)

    def consume(self, queue: str, deliver: Deliver, stop: threading.Event) -> None:
        pause = 0.2
        while not stop.is_set():
            try:
                with self._channel() as channel:
                    pause = 0.2
                    _Consumer(channel, self._queue(queue), deliver, stop).run()
            except BusUnavailable as error:
                log.warning("bus_lost", queue=queue, error=str(error)[:300])
                stop.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def set_aside(self, queue: str) -> int:
        with self._channel() as channel:
            return int(channel.queue_declare(self._dead_queue(queue), passive=True).method.message_count)

    def ping(self) -> None:
        with self._channel():
            pass

    def remove(self, queue: str) -> None:
        """Take a service's queues away, with all that is in them; and with the last of them, the exchanges."""
        with self._channel() as channel:
            channel.queue_delete(self._queue(queue))
            channel.queue_delete(self._dead_queue(queue))
        for exchange in (self.exchange, self._dead_exchange):
            with self._channel() as channel, suppress(ChannelClosedByBroker):
                channel.exchange_delete(exchange, if_unused=True)

    def close(self) -> None:
        self._publisher.close()

    def _queue(self, queue: str) -> str:
        return f"{self._namespace}{queue}"

    def _dead_queue(self, queue: str) -> str:
        return f"{self._queue(queue)}.dead"

    @contextmanager
    def _channel(self) -> Iterator[BlockingChannel]:
        connection = None
        try:
            connection = pika.BlockingConnection(self._parameters)
            yield connection.channel()
        except (AMQPError, OSError) as error:
            raise BusUnavailable(repr(error)) from error
        finally:
            _close_quietly(connection)


class _Consumer:
    """One stay at a queue: gathers what the broker has sent, delivers it as a batch, acknowledges the batch."""

    def __init__(self, channel: BlockingChannel, queue: str, deliver: Deliver, stop: threading.Event) -> None:
        self._channel = channel
        self._queue = queue
        self._deliver = deliver
        self._stop = stop
        self._received: list[tuple[int, Envelope]] = []

    def run(self) -> None:
        self._channel.basic_qos(prefetch_count=PREFETCH)
        tag = self._channel.basic_consume(self._queue, self._receive)
        while not self._stop.is_set():
            self._channel.connection.process_data_events(time_limit=0.2)
            if not self._channel.is_open or tag not in self._channel.consumer_tags:
                raise BusUnavailable("the broker cancelled the consumer")
            if self._received:
                self._settle()

    def _receive(self, _channel: Any, method: Any, properties: pika.BasicProperties, body: bytes) -> None:
        try:
            self._received.append((method.delivery_tag, read(properties, body)))
        except (ValueError, TypeError, KeyError, AttributeError):
            log.error("message_set_aside", queue=self._queue, routing_key=method.routing_key)
            self._channel.basic_reject(method.delivery_tag, requeue=False)

    def _settle(self) -> None:
        batch, self._received = self._received, []
        envelopes = [envelope for _, envelope in batch]
        pause = 0.2
        while not self._delivered(envelopes):
            if self._stop.is_set():
                return  # unacknowledged, so it comes again
            self._channel.connection.sleep(pause)  # serves heartbeats, unlike time.sleep
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        self._channel.basic_ack(batch[-1][0], multiple=True)
        reach("pump.after_ack")

    def _delivered(self, envelopes: Sequence[Envelope]) -> bool:
        try:
            self._deliver(envelopes)
        except Exception as error:
            log.warning("delivery_failed", queue=self._queue, error=repr(error)[:300])
            return False
        return True


def read(properties: pika.BasicProperties, body: bytes) -> Envelope:
    """A message as an envelope; raises ValueError, TypeError or KeyError when it is none of ours."""
    headers = properties.headers
    recorded_at = datetime.fromisoformat(headers["recorded_at"])
    return Envelope(
        id=UUID(properties.message_id),
        name=_text(properties.type),
        key=_text(headers["key"]),
        body=body,
        recorded_at=recorded_at.astimezone(UTC),
        urgent=headers.get("urgent") is True,
        request_id=headers.get("request_id"),
        traceparent=headers.get("traceparent"),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("a name or key that is not text")
    return value


def _split_namespace(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    options = parse_qs(parts.query)
    namespace = options.pop("namespace", [""])[0]
    query = urlencode(options, doseq=True)
    return urlunsplit(parts._replace(query=query)), f"{namespace}." if namespace else ""


def _close_quietly(connection: pika.BlockingConnection | None) -> None:
    close: Callable[[], object] | None = connection.close if connection and connection.is_open else None
    try:
        if close:
            close()
    except (AMQPError, OSError) as error:
        log.debug("bus_close_failed", error=repr(error))
