"""What is the same for everybody is given from the cache, and nothing else is (RFC 9111, 5861, 9211)."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest

from gateway.cache import Cache, Stored, stored_from
from tests.gateway.client import head
from tests.gateway.conftest import RunningGateway, running_gateway, stand_ins
from tests.gateway.standin import Exchange, StandIn
from tests.support.tokens import bearer
from tests.support.waiting import eventually

SHARED = b"Cache-Control: public, max-age=0, s-maxage=60, stale-while-revalidate=60, stale-if-error=600\r\n"
NUMBERS = count(1)


def target() -> str:
    """One that no other test asks for."""
    return f"/api/v1/books/cached-{next(NUMBERS)}"


def counting(catalog: StandIn, path: str, fields: bytes = SHARED, status: bytes = b"200 OK") -> list[Exchange]:
    """Answers with how often it was asked."""
    asked: list[Exchange] = []

    def answer(exchange: Exchange) -> None:
        asked.append(exchange)
        exchange.answer(b"%d" % len(asked), status, fields)

    catalog.on(path, answer)
    return asked


def test_a_repeat_is_given_without_asking(gateway: RunningGateway, catalog: StandIn) -> None:
    path = target()
    asked = counting(catalog, path)
    first, second = (gateway.ask("GET", path) for _ in range(2))
    assert (first.body, second.body, len(asked)) == (b"1", b"1", 1)
    assert first.fields["Cache-Status"] == "bookstore; fwd=uri-miss; stored"
    assert second.fields["Cache-Status"].startswith("bookstore; hit; ttl=")
    assert 0 <= int(second.fields["Age"]) < 5
    assert first.fields["X-Request-ID"] != second.fields["X-Request-ID"]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (b"", b"200 OK"),
        (b"Cache-Control: no-store\r\n", b"200 OK"),
        (b"Cache-Control: private, max-age=60\r\n", b"200 OK"),
        (b"Cache-Control: public, no-cache\r\n", b"200 OK"),
        (SHARED + b"Vary: *\r\n", b"200 OK"),
        (SHARED + b"Set-Cookie: a=1\r\n", b"200 OK"),
        (SHARED, b"500 Internal Server Error"),
        (SHARED, b"401 Unauthorized"),
        (SHARED, b"206 Partial Content"),
    ],
)
def test_what_is_not_for_everybody_is_not_stored(
    gateway: RunningGateway, catalog: StandIn, fields: bytes, status: bytes
) -> None:
    path = target()
    asked = counting(catalog, path, fields, status)
    assert [gateway.ask("GET", path).body for _ in range(3)] == [b"1", b"2", b"3"]
    assert len(asked) == 3


def test_who_has_it_already_is_told_so(gateway: RunningGateway, catalog: StandIn) -> None:
    path = target()
    asked = counting(catalog, path, SHARED + b'ETag: "v1"\r\nContent-Type: text/plain\r\n')
    for _ in range(2):
        reply = gateway.ask("GET", path, 'If-None-Match: W/"v1"')
        assert (reply.status, reply.body, reply.fields["ETag"]) == (304, b"", '"v1"')
    assert gateway.ask("GET", path, 'If-None-Match: "other"').body == b"1"
    assert not asked[0].all("If-None-Match"), "the answer that is stored is for everybody"
    with gateway.connect() as client:
        reply = client.request("HEAD", path)
        assert (reply.status, reply.fields["Content-Length"], reply.body) == (200, "1", b"")
    assert len(asked) == 1


def test_a_stale_answer_is_made_fresh_by_its_tag(gateway: RunningGateway, catalog: StandIn) -> None:
    path = target()
    asked: list[Exchange] = []

    def answer(exchange: Exchange) -> None:
        asked.append(exchange)
        fields = b'Cache-Control: public, s-maxage=0\r\nETag: "v1"\r\n'
        if exchange.all("If-None-Match") == ['"v1"']:
            exchange.send(b"HTTP/1.1 304 Not Modified\r\n", fields, b"\r\n")
        else:
            exchange.answer(b"whole", fields=fields)

    catalog.on(path, answer)
    replies = [gateway.ask("GET", path) for _ in range(3)]
    assert [(reply.status, reply.body) for reply in replies] == [(200, b"whole")] * 3
    assert "fwd-status=304" in replies[-1].fields["Cache-Status"]
    assert len(asked) == 3


def test_a_stale_answer_is_given_while_another_is_fetched(gateway: RunningGateway, catalog: StandIn) -> None:
    path = target()
    asked = counting(catalog, path, b"Cache-Control: public, s-maxage=0, stale-while-revalidate=60\r\n")
    assert gateway.ask("GET", path).body == b"1"
    assert gateway.ask("GET", path).body == b"1"
    eventually(lambda: len(asked) == 2)
    assert eventually(lambda: int(gateway.ask("GET", path).body) >= 2)


@pytest.mark.parametrize("failure", ["500", "gone"])
def test_a_service_that_is_down_can_still_be_read(gateway: RunningGateway, catalog: StandIn, failure: str) -> None:
    path = target()
    counting(catalog, path, b"Cache-Control: public, s-maxage=0, stale-if-error=60\r\n")
    assert gateway.ask("GET", path).body == b"1"
    if failure == "500":
        catalog.on(path, lambda exchange: exchange.answer(b"{}", b"500 Internal Server Error"))
    else:
        catalog.on(path, lambda exchange: exchange.connection.close())
    reply = gateway.ask("GET", path)
    assert (reply.status, reply.body) == (200, b"1")
    assert "fwd=stale" in reply.fields["Cache-Status"]
    eventually(lambda: gateway.ask("GET", "/api/v1/books").status == 200)


def test_all_who_ask_at_once_are_given_one_answer(gateway: RunningGateway, catalog: StandIn) -> None:
    path, go = target(), threading.Event()
    asked: list[Exchange] = []

    def answer(exchange: Exchange) -> None:
        asked.append(exchange)
        go.wait(5)
        exchange.answer(b"one", fields=SHARED)

    catalog.on(path, answer)
    with ThreadPoolExecutor(20) as crowd:
        replies = [crowd.submit(gateway.ask, "GET", path) for _ in range(20)]
        eventually(lambda: asked)
        go.set()
        assert {each.result().body for each in replies} == {b"one"}
    assert len(asked) == 1


def test_variants_are_kept_apart(gateway: RunningGateway, catalog: StandIn) -> None:
    path = target()

    def answer(exchange: Exchange) -> None:
        language = (exchange.all("Accept-Language") or ["none"])[0]
        exchange.answer(language.encode(), fields=SHARED + b"Vary: Accept-Language\r\n")

    catalog.on(path, answer)
    for _ in range(2):
        for language in ("de", "en"):
            assert gateway.ask("GET", path, f"Accept-Language: {language}").body == language.encode()
        assert gateway.ask("GET", path).body == b"none"
    assert catalog.targets().count(path) == 3


def test_a_token_is_answered_from_it_only_where_the_service_says_so(
    gateway: RunningGateway, catalog: StandIn, token: str
) -> None:
    for fields, expected in [(SHARED, b"1"), (b"Cache-Control: s-maxage=60\r\n", b"2")]:
        path = target()
        counting(catalog, path, fields)
        assert gateway.ask("GET", path).body == b"1"
        assert gateway.ask("GET", path, token).body == expected
    path = target()
    asked = counting(catalog, path)
    gateway.ask("GET", path, token)
    gateway.ask("GET", path)
    assert [bool(each.all("Authorization")) for each in asked] == [True, False], "nobody's own answer is stored"


def test_a_cookie_does_not_keep_the_cache_from_filling(gateway: RunningGateway, catalog: StandIn) -> None:
    path = target()
    asked = counting(catalog, path)
    bodies = [gateway.ask("GET", path, f"Cookie: guest={number}").body for number in range(4)]
    assert bodies == [b"1", b"2", b"2", b"2"]
    assert [bool(each.all("Cookie")) for each in asked] == [True, False]


def test_a_change_through_us_is_seen_at_once(gateway: RunningGateway, catalog: StandIn, token: str) -> None:
    path = target()
    counting(catalog, path)
    assert gateway.ask("GET", path).body == b"1"
    assert gateway.ask("PATCH", path, token, "Content-Length: 2", body=b"{}").status == 200
    assert gateway.ask("GET", path).body == b"3"


def test_odd_requests_do_not_poison_it(gateway: RunningGateway, catalog: StandIn) -> None:
    """By a HEAD, a range, another order of the query, or fields that are no part of the key."""
    path = target()
    asked = counting(catalog, path)
    with gateway.connect() as client:
        client.request("HEAD", path)
    gateway.ask("GET", path, "Range: bytes=0-0")
    gateway.ask("GET", path, "X-Forwarded-Host: evil.example", "X-Original-URL: /evil", "Forwarded: host=evil.example")
    names = {name.lower() for name, _ in asked[-1].fields}
    assert not names & {"x-original-url", "forwarded"}
    assert asked[-1].one("X-Forwarded-Host") != "evil.example"
    assert gateway.ask("GET", path).body == b"3"
    assert gateway.ask("GET", f"{path}?a=1&b=2").body != gateway.ask("GET", f"{path}?b=2&a=1").body


def test_nobody_ever_sees_what_is_anothers(gateway: RunningGateway, catalog: StandIn) -> None:
    """Two people and strangers with random fields ask for answers of every kind; each answer names whom it was for."""
    rng = random.Random(7)
    people = {name: f"Authorization: {bearer(username=name)['Authorization']}" for name in ("ann", "ben")}
    kinds = [
        SHARED,
        b"Cache-Control: s-maxage=60\r\n",
        b"Cache-Control: private\r\n",
        b"",
        SHARED + b"Vary: Cookie\r\n",
    ]

    def answer(exchange: Exchange) -> None:
        kind = int(exchange.target.rpartition("=")[2])
        who = exchange.all("Authorization") + exchange.all("Cookie")
        private = kind not in (0,)
        exchange.answer(("|".join(who) if private else "everybody").encode(), fields=kinds[kind])

    catalog.on("/api/v1/books/anyones", answer)
    for _ in range(250):
        mine = rng.choice([[people["ann"]], [people["ben"]], [f"Cookie: guest={rng.randint(1, 3)}"], []])
        odd = rng.sample(["Accept: */*", 'If-None-Match: "x"', "Accept-Language: de", "Cache-Control: no-cache"], 2)
        kind = rng.randrange(len(kinds))
        body = gateway.ask("GET", f"/api/v1/books/anyones?kind={kind}", *mine, *odd).body.decode()
        allowed = {"everybody", "", *(each.partition(": ")[2] for each in mine)}
        assert body in allowed, f"kind {kind}"


def test_it_can_be_switched_off() -> None:
    services = stand_ins()
    with running_gateway(services, GATEWAY_CACHE_BYTES="0") as gateway:
        asked = counting(services["catalog"], "/api/v1/books/off")
        assert [gateway.ask("GET", "/api/v1/books/off").body for _ in range(2)] == [b"1", b"2"]
        assert len(asked) == 2
    for service in services.values():
        service.close()


def stored(body: bytes, fields: Any = ()) -> Stored:
    made = stored_from("200 OK", [("Cache-Control", "public, s-maxage=60"), *fields], body)
    assert made
    return made


def test_memory_is_bounded_and_what_was_used_longest_ago_goes_first() -> None:
    cache, anybody = Cache(10_000), {"REQUEST_METHOD": "GET"}
    for number in range(20):
        cache.store(f"/{number}", anybody, stored(b"x" * 1000))
        assert cache.find("/0", anybody)
    assert cache._size <= 10_000
    assert cache.find("/1", anybody) is None
    assert cache.find("/19", anybody)


def test_a_large_answer_is_passed_on_and_not_stored(gateway: RunningGateway, catalog: StandIn) -> None:
    path, size = target(), 3_000_000
    catalog.on(path, lambda exchange: exchange.answer(b"x" * size, fields=SHARED))
    for _ in range(2):
        with gateway.connect() as client:
            client.send(head("GET", path))
            assert len(client.reply().body) == size
    assert catalog.targets().count(path) == 2
