"""How many live streams somebody may have, by the process that holds them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.event_source import EventSource
from tests.support.live_client import LiveClient
from tests.support.shopper import Person
from tests.support.stack import Stack
from tests.support.waiting import eventually

PATH = "/api/v1/orders/events"
MOST = 5


@pytest.fixture(scope="module")
def strict(store: Stack) -> Iterator[str]:
    """An instance that counts, asked directly: it believes what a gateway would say of addresses."""
    with store.another("order-stream", RATE_LIMITS_ENABLED="true") as url:
        yield url


def follow(url: str, person: Person, address: str) -> EventSource:
    headers = {"Authorization": str(person.http.headers["Authorization"]), "X-Forwarded-For": address}
    return EventSource(url + PATH, headers, timeout=20)


def test_the_sixth_stream_of_a_person_ends_the_first_which_is_told_why(store: Stack, strict: str) -> None:
    person = Person.register(store.gateway)
    token = str(person.http.headers["Authorization"]).removeprefix("Bearer ")
    with ExitStack() as opened, LiveClient(strict, {"token": token}) as socket:
        first, *others = [opened.enter_context(follow(strict, person, f"192.0.2.{n}")) for n in range(MOST)]
        with pytest.raises(EOFError):  # it is the oldest of six
            socket.next()
        assert eventually(lambda: socket.farewell.get("code")) == "too_many_streams"
        opened.enter_context(follow(strict, person, "192.0.2.9"))
        event = first.next()
        assert (event.name, json.loads(event.data)["code"]) == ("closed", "too_many_streams")
        assert first.retry == 60_000
        with pytest.raises(StopIteration):
            first.next()
        assert not any(each.answer.raw.isclosed() for each in others)
