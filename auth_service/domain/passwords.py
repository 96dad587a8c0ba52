"""Passwords: what is accepted as one, and Argon2id hashes that never crowd out the other work of the process.

Parameters are OWASP's minimum for Argon2id (19 MiB, two passes, one lane). One hash takes a core for some
30 ms, so a few threads do nothing else, and who waits for them too long is asked to come back. Keeping it to
these threads keeps the memory down too: the allocator holds on to the 19 MiB in each thread that hashed once.

Who waits keeps a thread of the web server, so only so many may; the next is refused at once, and other requests find
a thread however many people sign in. Wait with no transaction open: it would keep a connection, and locks, as long.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import hash_secret_raw

from common.rooms import Room

MIN_LENGTH = 8
MAX_LENGTH = 128
WAIT_SECONDS = 20.0
"""Less than the gateway waits, and long enough for as many as may wait on a busy machine."""
MOST_WAITING = 64
MOST_WAITING_INSIDE = 2
"""Of those who cannot do without their transaction meanwhile, however many connections there are."""
STORE_WORDS = frozenset(
    {"bookstore", "bookshop", "mybookstore", "mybookshop", "bookstoreadmin", "adminbookstore", "administrator"}
)
"""What is tried at a bookstore first, with a few digits and signs in it (ASVS 6.1.2)."""
FEW_SIGNS = 3
T = TypeVar("T")

_PARAMETERS: Mapping[str, Any] = {"time_cost": 2, "memory_cost": 19 * 1024, "parallelism": 1, "type": Type.ID}
_hasher = PasswordHasher(**_PARAMETERS)


CROWDED = "Too many people are signing in at this moment."
waiting_room = Room(MOST_WAITING, CROWDED)
_inside = Room(MOST_WAITING_INSIDE, CROWDED)


def prepare(*, threads: int, most_waiting: int) -> None:
    """How many hash at once, with 19 MiB each, and how many may wait for one. Before anybody waits."""
    global _hash_threads  # noqa: PLW0603 - the threads are the process's
    _hash_threads = threads
    waiting_room.resize(most_waiting)


_hash_threads = 1


def normalise(password: str) -> str:
    """The same characters whichever way a keyboard composes them (NIST SP 800-63B section 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)


def weakness(password: str, *own: str) -> str | None:
    """Why this may not be a password, or None. There are no composition rules.

    `own` are the person's names, which are tried first by who knows them.
    """
    length = len(normalise(password))
    if not MIN_LENGTH <= length <= MAX_LENGTH:
        return f"must have {MIN_LENGTH} to {MAX_LENGTH} characters"
    if normalise(password).casefold() in _common():
        return "is one of the most common passwords; choose another"
    if _is_a_store_word(password) or normalise(password).casefold() in {each.casefold() for each in own}:
        return "is easily guessed here; choose another"
    return None


def hash_password(password: str) -> str:
    """Raises Unavailable when too many others wait for theirs."""
    return _in_turn(lambda: _hasher.hash(normalise(password)))


def verify(stored: str | None, password: str) -> bool:
    """Whether the password fits the hash. Without a hash it never does, but takes just as long to say so.

    Raises Unavailable when too many others wait for their answer.
    """
    try:
        return _in_turn(lambda: _hasher.verify(stored or _dummy_hash(), normalise(password))) and stored is not None
    except (VerificationError, InvalidHashError):
        return False


def needs_rehash(stored: str) -> bool:
    return _hasher.check_needs_rehash(stored)


def slow_digest(text: str, *, salt: str) -> bytes:
    """A short secret as it is kept where it has to be found by its digest. Raises Unavailable as the others do."""
    return _in_turn(lambda: _digest(text, salt))


def slow_digests(texts: Sequence[str], *, salt: str) -> list[bytes]:
    """Several at one turn, for who has to keep a transaction open meanwhile. Raises Unavailable as the others do."""
    return _in_turn(lambda: [_digest(text, salt) for text in texts], _inside)


def _digest(text: str, salt: str) -> bytes:
    return hash_secret_raw(text.encode("utf-8", "surrogatepass"), salt.encode(), hash_len=32, **_PARAMETERS)


def _in_turn(work: Callable[[], T], room: Room = waiting_room) -> T:
    with room.place():
        turn = _threads().submit(work)
        try:
            return turn.result(timeout=WAIT_SECONDS)
        except TimeoutError:
            turn.cancel()
            raise room.refusal() from None


@cache
def _threads() -> ThreadPoolExecutor:
    """Made at first use, which is after a web server has forked its workers."""
    return ThreadPoolExecutor(_hash_threads, thread_name_prefix="password")


@cache
def _dummy_hash() -> str:
    return _hasher.hash("nobody has this password")


def _is_a_store_word(password: str) -> bool:
    letters = "".join(filter(str.isalpha, normalise(password).casefold()))
    return letters in STORE_WORDS and len(normalise(password)) - len(letters) <= FEW_SIGNS


@cache
def _common() -> frozenset[str]:
    """The most frequent ones of leaked passwords, and variants of ours that the shortest ones are lengthened to."""
    folder = Path(__file__).parent
    known = {
        line
        for name in ("leaked_passwords.txt", "common_passwords.txt")
        for line in (folder / name).read_text(encoding="utf-8").splitlines()
    }
    return frozenset(each for each in known if len(each) >= MIN_LENGTH and not each.startswith("#"))
