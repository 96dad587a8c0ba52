"""DPoP proofs by themselves (RFC 9449), and thumbprints (RFC 7638)."""

from __future__ import annotations

import time
import warnings
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from common.auth import Presented, TokenVerifier
from common.dpop import Proof, ProofMemory, ProofRefused, check_proof, thumbprint
from common.errors import Unauthorized
from tests.support import tokens
from tests.support.proofs import Key
from tests.support.tokens import AUDIENCE, ISSUER, claims, sign

URL = f"{ISSUER}/api/v1/orders"


def test_the_thumbprint_is_that_of_the_standard() -> None:
    """RFC 7638 section 3.1's example."""
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3okn"
        "jhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6q"
        "MQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awap"
        "JzKnqDKgw"
    )
    jwk = {"kty": "RSA", "n": modulus, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}
    assert thumbprint(jwk) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.mark.parametrize(
    ("url", "fits"),
    [
        (URL, True),
        (f"{URL}?a=b#c", True),
        ("HTTP://LOCALHOST:8000/api/v1/orders", True),
        ("http://localhost:8000/api/v1/%6frders", True),
        ("http://localhost/api/v1/orders", False),
        ("https://localhost:8000/api/v1/orders", False),
        ("http://localhost:8000/api/v1/orders/", False),
        ("http://localhost:8000/API/v1/orders", False),
        ("/api/v1/orders", False),
        ("http://localhost:x/", False),
    ],
)
def test_addresses_are_compared_as_the_standard_has_it(url: str, fits: bool) -> None:
    def check() -> Proof:
        return check_proof(Key().proof("GET", url), method="GET", url=URL)

    if fits:
        assert check().jti
    else:
        with pytest.raises(ProofRefused):
            check()


def _jwk(private: Any) -> dict[str, Any]:
    kinds: dict[type, Any] = {ec.EllipticCurvePrivateKey: ECAlgorithm, rsa.RSAPrivateKey: RSAAlgorithm}
    kind = next((made for base, made in kinds.items() if isinstance(private, base)), OKPAlgorithm)
    jwk: dict[str, Any] = kind.to_jwk(private.public_key(), as_dict=True)
    return {name: value for name, value in jwk.items() if name != "key_ops"}


@pytest.mark.parametrize(
    ("make", "algorithm", "fits"),
    [
        (lambda: ec.generate_private_key(ec.SECP256R1()), "ES256", True),
        (ed25519.Ed25519PrivateKey.generate, "EdDSA", True),
        (lambda: rsa.generate_private_key(65537, 2048), "RS256", True),
        (lambda: rsa.generate_private_key(65537, 2048), "PS256", True),
        (lambda: rsa.generate_private_key(65537, 1024), "RS256", False),  # noqa: S505
        (lambda: ec.generate_private_key(ec.SECP384R1()), "ES384", False),
    ],
)
def test_kinds_of_keys(make: Any, algorithm: str, fits: bool) -> None:
    private = make()
    headers = {"typ": "dpop+jwt", "jwk": _jwk(private)}
    made = {"htm": "GET", "htu": URL, "iat": int(time.time()), "jti": "1"}
    with warnings.catch_warnings(action="ignore"):
        proof = jwt.encode(made, private, algorithm, headers)
    if fits:
        assert check_proof(proof, method="GET", url=URL).jkt == thumbprint(headers["jwk"])
    else:
        with pytest.raises(ProofRefused):
            check_proof(proof, method="GET", url=URL)


def test_a_memory_forgets_the_oldest_when_it_is_full() -> None:
    memory = ProofMemory(capacity=2)
    proofs = [Proof("jkt", str(number), 0, None) for number in range(3)]
    assert [memory.is_new(each) for each in proofs] == [True] * 3
    assert [memory.is_new(each) for each in proofs[1:]] == [False, False]
    assert memory.is_new(proofs[0])


def test_the_same_jti_of_another_key_is_another_proof() -> None:
    memory = ProofMemory()
    assert memory.is_new(Proof("one", "1", 0, None))
    assert memory.is_new(Proof("two", "1", 0, None))


def test_a_bound_token_is_no_bearer_token() -> None:
    key = Key()
    token = sign(claims(cnf={"jkt": key.jkt}))
    verifier = TokenVerifier(issuer=ISSUER, audience=AUDIENCE, keys=tokens.keys)
    good = key.headers("GET", URL, token)
    bearer = verifier.authenticate(Presented(good["Authorization"], good["DPoP"], "GET", URL))
    assert bearer is not None
    assert bearer.key_thumbprint == key.jkt
    for authorization, proof in (
        (f"Bearer {token}", None),
        (f"Bearer {token}", key.proof("GET", URL, token=token)),
        (f"DPoP {token}", None),
        (good["Authorization"], good["DPoP"]),
        (f"DPoP {token}", Key().proof("GET", URL, token=token)),
        (f"DPoP {sign(claims())}", key.proof("GET", URL, token=token)),
    ):
        with pytest.raises(Unauthorized):
            verifier.authenticate(Presented(authorization, proof, "GET", URL))


@pytest.mark.parametrize("confirmation", [{}, {"jkt": None}, {"x5t#S256": "x"}, {"jkt": 7}, "jkt", []])
def test_a_binding_that_we_do_not_know_is_not_met(confirmation: Any) -> None:
    key, token = Key(), sign(claims(cnf=confirmation))
    verifier = TokenVerifier(issuer=ISSUER, audience=AUDIENCE, keys=tokens.keys)
    for authorization in (f"Bearer {token}", f"DPoP {token}"):
        with pytest.raises(Unauthorized):
            verifier.authenticate(Presented(authorization, key.proof("GET", URL, token=token), "GET", URL))
