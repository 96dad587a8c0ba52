"""DPoP proofs that were shown at any replica of the gateway, which all requests come through."""

from __future__ import annotations

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from common.dpop import LIFE_SECONDS, Proof, ProofMemory, Proofs
from common.telemetry import get_logger

STORAGE_SECONDS = 0.25
PREFIX = b"bookstore/proof/"

log = get_logger(__name__)


def remembered(url: str) -> Proofs:
    """In the Redis that replicas share (RATE_LIMIT_URL), or by this process alone where there is none."""
    return SharedProofs(url) if url else ProofMemory()


class SharedProofs:
    """While the Redis is away, each process refuses what it has seen itself: a proof is worth a few minutes at most."""

    def __init__(self, url: str) -> None:
        patience = {"socket_connect_timeout": STORAGE_SECONDS, "socket_timeout": STORAGE_SECONDS}
        self._redis = redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), **patience)
        self._own = ProofMemory()

    def is_new(self, proof: Proof) -> bool:
        if not self._own.is_new(proof):
            return False
        try:
            return bool(self._redis.set(PREFIX + proof.key, b"", nx=True, ex=int(LIFE_SECONDS)))
        except redis.RedisError as error:
            log.warning("proofs_not_shared", error=type(error).__name__)
            return True
