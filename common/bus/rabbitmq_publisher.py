"""Publishing with pipelined confirms: all of a batch is sent, then all of its confirms are awaited.

pika's blocking channel waits for each confirm by itself, which is several times slower (docs/adr/0003).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pika
from pika.exceptions import AMQPError

from common.bus.protocol import BusUnavailable
from common.events import Envelope
from common.failpoints import reach

OPEN_TIMEOUT_SECONDS = 10
CONFIRM_TIMEOUT_SECONDS = 20
PERSISTENT = pika.DeliveryMode.Persistent.value


class ConfirmingPublisher:
    """A connection on a thread of its own, opened at the first publication and again after it was lost."""

    def __init__(self, parameters: pika.URLParameters, exchange: str) -> None:
        self._parameters = parameters
        self._exchange = exchange
        self._link: _Link | None = None

    def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Raises BusUnavailable unless the broker confirmed every one."""
        if self._link is None or not self._link.is_open:
            self.close()
            self._link = _Link(self._parameters, self._exchange)
        try:
            self._link.publish(envelopes)
        except BusUnavailable:
            self.close()
            raise

    def close(self) -> None:
        link, self._link = self._link, None
        if link:
            link.close()


class _Batch:
    """Messages that wait for their confirms, by delivery tag."""

    def __init__(self) -> None:
        self.outstanding: set[int] = set()
        self.error: str | None = None
        self.done = threading.Event()

    def fail(self, reason: str) -> None:
        self.error = reason
        self.done.set()


class _Link:
    def __init__(self, parameters: pika.URLParameters, exchange: str) -> None:
        self._exchange = exchange
        self._opened = threading.Event()
        self._failure: str | None = None
        self._channel: Any = None
        self._tag = 0
        self._batch: _Batch | None = None
        self._connection = pika.SelectConnection(
            parameters,
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._on_channel),
            on_open_error_callback=lambda _connection, error: self._lost(repr(error)),
            on_close_callback=lambda _connection, error: self._lost(repr(error)),
        )
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()
        if not self._opened.wait(OPEN_TIMEOUT_SECONDS) or self._failure:
            self.close()
            raise BusUnavailable(self._failure or "the broker did not answer in time")

    @property
    def is_open(self) -> bool:
        return self._failure is None and self._thread.is_alive()

    def publish(self, envelopes: Sequence[Envelope]) -> None:
        batch = _Batch()
        self._connection.ioloop.add_callback_threadsafe(lambda: self._send(batch, envelopes))
        if not batch.done.wait(CONFIRM_TIMEOUT_SECONDS):
            raise BusUnavailable("the broker did not confirm in time")
        if batch.error:
            raise BusUnavailable(batch.error)

    def close(self) -> None:
        if self._thread.is_alive():
            self._connection.ioloop.add_callback_threadsafe(self._shut)
            self._thread.join(timeout=2)

    def _run(self) -> None:
        try:
            self._connection.ioloop.start()
        except (AMQPError, OSError) as error:
            self._lost(repr(error))

    def _on_channel(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(lambda _channel, error: self._lost(repr(error)))
        channel.confirm_delivery(self._on_confirm, callback=lambda _ok: self._opened.set())

    def _send(self, batch: _Batch, envelopes: Sequence[Envelope]) -> None:
        if self._failure:
            batch.fail(self._failure)
            return
        self._batch = batch
        batch.outstanding = set(range(self._tag + 1, self._tag + 1 + len(envelopes)))
        try:
            for envelope in envelopes:
                self._tag += 1
                self._channel.basic_publish(self._exchange, envelope.name, envelope.body, _properties(envelope))
        except (AMQPError, OSError) as error:
            self._lost(repr(error))

    def _on_confirm(self, frame: Any) -> None:
        reach("relay.before_confirm")
        batch, method = self._batch, frame.method
        if batch is None:
            return
        if isinstance(method, pika.spec.Basic.Nack):
            batch.fail("the broker refused an event")
            return
        tags = (
            {tag for tag in batch.outstanding if tag <= method.delivery_tag}
            if method.multiple
            else {method.delivery_tag}
        )
        batch.outstanding -= tags
        if not batch.outstanding:
            batch.done.set()

    def _lost(self, reason: str) -> None:
        self._failure = self._failure or reason
        if self._batch:
            self._batch.fail(reason)
        self._opened.set()
        self._connection.ioloop.stop()

    def _shut(self) -> None:
        if self._connection.is_open:
            self._connection.close()
        else:
            self._connection.ioloop.stop()


def _properties(envelope: Envelope) -> pika.BasicProperties:
    headers = {
        "key": envelope.key,
        "recorded_at": envelope.recorded_at.isoformat(),
        "urgent": envelope.urgent,
        "request_id": envelope.request_id,
        "traceparent": envelope.traceparent,
    }
    return pika.BasicProperties(
        message_id=str(envelope.id),
        type=envelope.name,
        content_type="application/json",
        delivery_mode=PERSISTENT,
        headers={name: value for name, value in headers.items() if value is not None},
    )
