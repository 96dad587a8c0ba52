"""The list of what is refused before it expires: kept fresh on the way of requests, and never in their way."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from prometheus_client import REGISTRY

from common import revocation
from common.auth import TokenVerifier
from common.errors import Unauthorized
from common.revocation import LONGEST_TOKEN_SECONDS, REFRESH_SECONDS, STALE_SECONDS, Revocations
from tests.common.toy import ToyConfig
from tests.support import tokens
from tests.support.tokens import claims, sign
from tests.support.waiting import eventually


class Feed:
    """Plays the auth service."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.asked: list[int] = []
        self.error: Exception | None = None
        self.may_answer = threading.Event()
        self.may_answer.set()

    def __call__(self, after: int, _again: int = 0) -> dict[str, Any]:
        self.asked.append(after)
        self.may_answer.wait(10)
        if self.error:
            raise self.error
        return {"items": self.told[after:], "next": len(self.told)}

    def revoke(self, kind: str, id: object, at: float | None = None) -> None:
        self.told.append({"kind": kind, "id": str(id), "at": time.time() if at is None else at})


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def revocations(feed: Feed, clock: Clock) -> Revocations:
    return Revocations(feed, clock=clock)


@pytest.mark.parametrize(
    ("kind", "claim"),
    [("session", "sid"), ("family", "fid"), ("subject", "sub"), ("client", "client_id"), ("token", "jti")],
)
def test_what_is_revoked_is_refused(revocations: Revocations, feed: Feed, kind: str, claim: str) -> None:
    token = claims(fid="family", client_id="one")
    feed.revoke(kind, token[claim], at=time.time() + 1)
    assert revocations.refuse(token)
    assert not revocations.refuse(claims(fid="another", client_id="another"))


@pytest.mark.parametrize(("kind", "claim"), [("subject", "sub"), ("client", "client_id")])
def test_a_token_issued_after_its_subject_or_client_was_revoked_is_good(
    revocations: Revocations, feed: Feed, kind: str, claim: str
) -> None:
    before = claims()
    feed.revoke(kind, before[claim], at=time.time() + 5)
    feed.revoke(kind, before[claim], at=time.time() - 60)
    assert revocations.refuse(before)
    assert not revocations.refuse(before | {"iat": before["iat"] + 10})


def test_a_token_that_is_remembered_is_refused_too(revocations: Revocations, feed: Feed, clock: Clock) -> None:
    verifier = TokenVerifier(issuer=tokens.ISSUER, audience=tokens.AUDIENCE, keys=tokens.keys, revocations=revocations)
    content = claims()
    token = sign(content)
    verifier.verify(token)
    feed.revoke("session", content["sid"])
    clock.now += STALE_SECONDS + 0.1
    with pytest.raises(Unauthorized) as refused:
        verifier.verify(token)
    assert 'error="invalid_token"' in refused.value.headers["WWW-Authenticate"]


def test_many_requests_ask_once(revocations: Revocations, feed: Feed) -> None:
    threads = [threading.Thread(target=revocations.refuse, args=[claims()]) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(100):
        revocations.refuse(claims())
    assert feed.asked == [0]


def test_while_busy_nobody_waits(revocations: Revocations, feed: Feed, clock: Clock) -> None:
    revocations.refuse(claims())
    feed.may_answer.clear()
    clock.now += REFRESH_SECONDS + 0.1
    began = time.monotonic()
    revocations.refuse(claims())
    assert time.monotonic() - began < 0.5
    eventually(lambda: len(feed.asked) == 2)
    feed.may_answer.set()


def test_after_idling_the_first_one_waits_for_the_news(revocations: Revocations, feed: Feed, clock: Clock) -> None:
    content = claims()
    assert not revocations.refuse(content)
    feed.revoke("session", content["sid"])
    clock.now += 3600
    assert revocations.refuse(content)
    assert feed.asked == [0, 0]


def test_only_news_are_asked_for(revocations: Revocations, feed: Feed, clock: Clock) -> None:
    content = claims()
    feed.revoke("session", content["sid"])
    revocations.refuse(content)
    clock.now += 3600
    assert revocations.refuse(content)
    assert feed.asked == [0, 1]


def test_without_auth_tokens_are_good_and_nobody_waits(revocations: Revocations, feed: Feed, clock: Clock) -> None:
    feed.error = OSError()
    assert not revocations.refuse(claims())
    feed.may_answer.clear()
    clock.now += 3600
    began = time.monotonic()
    assert not revocations.refuse(claims())
    assert time.monotonic() - began < 0.5
    feed.may_answer.set()


def test_an_auth_that_hangs_holds_up_one_request_only(
    revocations: Revocations, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.upkeep.WAIT_SECONDS", 0.05)
    feed.may_answer.clear()
    revocations.refuse(claims())
    monkeypatch.setattr("common.upkeep.WAIT_SECONDS", 5.0)
    began = time.monotonic()
    revocations.refuse(claims())
    assert time.monotonic() - began < 0.5
    feed.may_answer.set()


def test_a_process_that_is_refused_by_auth_says_so(
    monkeypatch: pytest.MonkeyPatch, feed: Feed, config: ToyConfig
) -> None:
    feed.error = OSError()
    monkeypatch.setattr(revocation, "AuthFeed", lambda _client: feed)
    made = revocation.asked_of_auth(config)
    assert REGISTRY.get_sample_value("revocations_up") == 1
    made.refuse(claims())
    assert REGISTRY.get_sample_value("revocations_up") == 0
    feed.error = None
    eventually(lambda: REGISTRY.get_sample_value("revocations_up") == 1)


def test_it_recovers_with_auth(revocations: Revocations, feed: Feed, clock: Clock) -> None:
    feed.error = OSError()
    content = claims()
    revocations.refuse(content)
    feed.error = None
    feed.revoke("session", content["sid"])

    def refused() -> bool:
        clock.now += 1
        return revocations.refuse(content)

    eventually(refused)


def test_what_no_token_can_be_older_than_is_forgotten(feed: Feed, clock: Clock) -> None:
    revocations = Revocations(feed, capacity=3, clock=clock)
    feed.revoke("session", "long ago", at=time.time() - LONGEST_TOKEN_SECONDS - 1)
    feed.revoke("session", "recent")
    revocations.refuse(claims())
    assert list(revocations._revoked) == [("session", "recent")]
    for number in range(5):
        feed.revoke("session", number)
    clock.now += 3600
    revocations.refuse(claims())
    assert list(revocations._revoked) == [("session", "2"), ("session", "3"), ("session", "4")]


class WaitingFeed(Feed):
    """As auth does when it is asked to wait: it answers when there is something new."""

    def __call__(self, after: int, again: int = 0) -> dict[str, Any]:
        self.asked.append(after)
        if self.error:
            raise self.error
        if self.asked[1:]:
            eventually(lambda: len(self.told) > after or self.error, within=20, every=0.005)
        return {"items": self.told[after:], "next": len(self.told), "again": 0}


def test_news_are_heard_without_a_request_that_asks_for_them() -> None:
    feed, content, others = WaitingFeed(), claims(), claims()
    revocations = Revocations(feed, waits=True)
    feed.revoke("session", content["sid"])
    assert revocations.refuse(content), "what was revoked before is known to the first one"
    assert not revocations.refuse(others)
    feed.revoke("session", others["sid"])
    eventually(lambda: ("session", others["sid"]) in revocations._revoked, within=1)
    assert len(feed.asked) <= 3, "an idle process does not go on asking"
    feed.error = OSError()


def test_while_nothing_is_heard_one_request_waits_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.upkeep.WAIT_SECONDS", 0.1)
    feed = Feed()
    feed.may_answer.clear()
    revocations = Revocations(feed, waits=True)
    for _ in range(20):
        began = time.monotonic()
        assert not revocations.refuse(claims())
    assert time.monotonic() - began < 0.05
    feed.may_answer.set()
