"""Tokens that must not pass, and keys that change."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from common.auth import JwksKeys, StaticKeys, TokenVerifier, credentials, parse_jwks
from common.errors import Unauthorized, Unavailable
from tests.support import tokens
from tests.support.tokens import AUDIENCE, ISSUER, claims, sign
from tests.support.waiting import eventually

PEM = tokens.private_key.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


@pytest.fixture
def verifier() -> TokenVerifier:
    return TokenVerifier(issuer=ISSUER, audience=AUDIENCE, keys=tokens.keys)


def encode(document: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def unsigned(**header: Any) -> str:
    return f"{encode({'typ': 'at+jwt', 'alg': 'none', **header})}.{encode(claims())}."


def signed_with_public_key() -> str:
    head = encode({"typ": "at+jwt", "alg": "HS256", "kid": tokens.KEY_ID})
    signing_input = f"{head}.{encode(claims())}"
    mac = hmac.new(PEM, signing_input.encode(), hashlib.sha256).digest()
    return f"{signing_input}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def of_another_key() -> str:
    stranger = ec.generate_private_key(ec.SECP256R1())
    return jwt.encode(claims(), stranger, "ES256", headers={"typ": "at+jwt", "kid": tokens.KEY_ID})


def with_key_in_header() -> str:
    stranger = ec.generate_private_key(ec.SECP256R1())
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(stranger.public_key(), as_dict=True)
    return jwt.encode(claims(), stranger, "ES256", headers={"typ": "at+jwt", "kid": tokens.KEY_ID, "jwk": jwk})


def tampered() -> str:
    head, _, signature = sign(claims()).split(".")
    return f"{head}.{encode(claims(role='admin'))}.{signature}"


FORGERIES = {
    "alg none": unsigned,
    "alg none, with our key": lambda: unsigned(kid=tokens.KEY_ID),
    "alg NoNe": lambda: unsigned(alg="NoNe", kid=tokens.KEY_ID),
    "public key as HMAC secret": signed_with_public_key,
    "another key under our id": of_another_key,
    "its own key in the header": with_key_in_header,
    "tampered claims": tampered,
    "expired": lambda: sign(claims(exp=int(time.time()) - 60)),
    "not yet valid": lambda: sign(claims(nbf=int(time.time()) + 600)),
    "another audience": lambda: sign(claims(aud="somebody-else")),
    "no audience": lambda: sign(claims(aud=None)),
    "another issuer": lambda: sign(claims(iss="https://evil.example")),
    "no expiry": lambda: sign(claims(exp=None)),
    "no client": lambda: sign(claims(client_id=None)),
    "subject is a number": lambda: sign(claims(sub=7)),
    "an ID token": lambda: sign(claims(), headers={"typ": "JWT"}),
    "no type": lambda: sign(claims(), headers={"typ": None}),
    "unknown key id": lambda: sign(claims(), headers={"kid": "another"}),
    "critical extension": lambda: sign(claims(), headers={"crit": ["exp"]}),
    "not a token": lambda: "a.b.c",
    "empty parts": lambda: "..",
    "not ASCII": lambda: "é.é.é",
    "a surrogate": lambda: "\udcff.x.y",
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_token_is_refused(verifier: TokenVerifier, forgery: str) -> None:
    with pytest.raises(Unauthorized) as refused:
        verifier.verify(FORGERIES[forgery]())
    assert 'error="invalid_token"' in refused.value.headers["WWW-Authenticate"]


def test_a_good_token_says_who_asks(verifier: TokenVerifier) -> None:
    token = sign(claims(role="admin", username="ada", scopes=["books:write"]))
    bearer = verifier.verify(token)
    assert (bearer.role, bearer.username, bearer.scopes) == ("admin", "ada", {"books:write"})
    assert verifier.verify(token) is bearer


def test_a_remembered_token_is_forgotten_when_it_expires(
    verifier: TokenVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = sign(claims(exp=int(time.time()) + 30))
    verifier.verify(token)
    later = time.time() + 60
    monkeypatch.setattr("common.auth.time.time", lambda: later)
    monkeypatch.setattr("jwt.api_jwt.datetime", _Clock(later))
    with pytest.raises(Unauthorized):
        verifier.verify(token)


class _Clock:
    """Stands in for the datetime module's class inside PyJWT."""

    def __init__(self, moment: float) -> None:
        self._moment = moment

    def now(self, tz: Any = None) -> Any:
        from datetime import datetime

        return datetime.fromtimestamp(self._moment, tz)


def test_the_memory_of_tokens_is_bounded() -> None:
    verifier = TokenVerifier(issuer=ISSUER, audience=AUDIENCE, keys=tokens.keys, capacity=2)
    for _ in range(5):
        verifier.verify(sign(claims()))
    assert len(verifier._verified) == 2


def test_only_asymmetric_signature_keys_are_taken() -> None:
    rsa_key = rsa.generate_private_key(65537, 2048).public_key()
    rs256 = jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key, as_dict=True)
    keys = [
        tokens.public_jwk,
        {"kty": "oct", "k": "c2VjcmV0", "kid": "shared", "alg": "HS256"},
        {**rs256, "kid": "encryption", "use": "enc"},
        {**rs256, "kid": "rsa", "alg": "RS256"},
    ]
    assert set(parse_jwks({"keys": keys})) == {tokens.KEY_ID, "rsa"}


class Issuer:
    """Plays the auth service's published keys."""

    def __init__(self) -> None:
        self.published = [tokens.public_jwk]
        self.fetches = 0
        self.error: Exception | None = None
        self.may_answer = threading.Event()
        self.may_answer.set()

    def __call__(self, *_: Any, **__: Any) -> Issuer:
        self.fetches += 1
        self.may_answer.wait(10)
        if self.error:
            raise self.error
        return self

    def raise_for_status(self) -> None: ...

    def json(self) -> dict[str, Any]:
        return {"keys": list(self.published)}


class Monotonic:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def issuer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    made = Issuer()
    monkeypatch.setattr("common.auth.requests.get", made)
    yield made
    made.may_answer.set()


@pytest.fixture
def clock() -> Monotonic:
    return Monotonic()


@pytest.fixture
def published(issuer: Issuer, clock: Monotonic) -> JwksKeys:
    return JwksKeys("http://auth/jwks", clock=clock)


def test_new_keys_are_fetched_when_met_but_not_for_every_stranger(
    issuer: Issuer, published: JwksKeys, clock: Monotonic
) -> None:
    issuer.published.clear()
    assert published.find(tokens.KEY_ID) is None
    issuer.published.append(tokens.public_jwk)
    clock.now += 1
    assert published.find(tokens.KEY_ID) is not None
    clock.now += 1
    for number in range(50):
        assert published.find(f"stranger-{number}") is None
    assert issuer.fetches == 3


def test_known_keys_stay_good_and_nobody_waits_while_auth_hangs(
    issuer: Issuer, published: JwksKeys, clock: Monotonic, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert published.find(tokens.KEY_ID)
    issuer.may_answer.clear()
    clock.now += 3600
    monkeypatch.setattr("common.upkeep.WAIT_SECONDS", 0.05)
    began = time.monotonic()
    found = in_parallel(5, lambda: published.find(tokens.KEY_ID))
    monkeypatch.setattr("common.upkeep.WAIT_SECONDS", 5.0)
    found.append(published.find(tokens.KEY_ID))
    assert all(found)
    assert time.monotonic() - began < 1
    assert issuer.fetches == 2


def test_known_keys_are_fetched_anew_beside_the_requests(issuer: Issuer, published: JwksKeys, clock: Monotonic) -> None:
    published.find(tokens.KEY_ID)
    issuer.may_answer.clear()
    clock.now += 299
    began = time.monotonic()
    assert published.find(tokens.KEY_ID)
    assert time.monotonic() - began < 0.5
    eventually(lambda: issuer.fetches == 2)


def test_a_withdrawn_key_is_good_for_five_minutes_at_most(
    issuer: Issuer, published: JwksKeys, clock: Monotonic
) -> None:
    assert published.find(tokens.KEY_ID)
    issuer.published.clear()
    clock.now += 301
    assert published.find(tokens.KEY_ID) is None


def test_an_auth_that_fails_is_not_asked_for_every_request(
    issuer: Issuer, published: JwksKeys, clock: Monotonic
) -> None:
    issuer.error = requests.ConnectionError()
    for _ in range(20):
        with pytest.raises(Unavailable):
            published.find(tokens.KEY_ID)
    assert issuer.fetches == 1
    issuer.error = None
    clock.now += 1
    assert published.find(tokens.KEY_ID)


def test_whether_a_key_is_unknown_cannot_be_said_while_auth_fails(
    issuer: Issuer, published: JwksKeys, clock: Monotonic
) -> None:
    published.find(tokens.KEY_ID)
    issuer.error = requests.ConnectionError()
    clock.now += 1
    with pytest.raises(Unavailable):
        published.find("a new one, perhaps")
    assert published.find(tokens.KEY_ID)


def in_parallel(count: int, work: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(count) as threads:
        return [each.result() for each in [threads.submit(work) for _ in range(count)]]


def test_without_any_keys_the_answer_is_unavailable_not_unauthorized() -> None:
    verifier = TokenVerifier(issuer=ISSUER, audience=AUDIENCE, keys=JwksKeys("http://127.0.0.1:1/jwks"))
    with pytest.raises(Unavailable):
        verifier.verify(sign(claims()))


@pytest.mark.parametrize("header", ["Basic YTpi", "Bearer", "Bearer  ", "token"])
def test_another_scheme_is_refused(header: str) -> None:
    with pytest.raises(Unauthorized):
        credentials(header)


def test_the_scheme_is_read_without_regard_to_case() -> None:
    assert credentials("bearer abc") == ("bearer", "abc")
    assert credentials(None) is None
    assert isinstance(tokens.keys, StaticKeys)
