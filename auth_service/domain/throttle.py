"""Slowing down the guessing of passwords, and what would fill the store: counted in the database, for all processes.

Failed sign-ins count by account from one address, by account alone, and by address alone. Alone, an account bears many
more: its owner is let in although somebody elsewhere fails with it, and guesses from everywhere have an end all the
same. An account has one count, by whatever name it is called; a name that nobody has counts as well, so that the answer
tells nobody. A browser in which somebody has signed in to the account before has a count of its own, and so is let in
while others guess. Sign-ins that succeed are not counted, so that many people behind one address, or one person with
many devices, are let in.

Somebody with IPv6 has a whole network: a /64 counts as one address, and a /48 bears a few times as much.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network

from sqlalchemy import ColumnElement, case, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from auth_service.models import FailedSignIns
from common.db import utcnow
from common.errors import TooManyRequests

WINDOW = timedelta(minutes=5)
MOST_PER_ACCOUNT = 8
MOST_PER_ACCOUNT_ANYWHERE = 50
MOST_PER_ADDRESS = 60
MOST_REQUESTS = 200
"""Of one kind from one address, behind which there may be a whole school."""
MOST_TAKEN = 10
"""Registrations from one address that found a name or an address taken: more would be a way to list them."""
MOST_MAILS_OF_DOMAIN = 300
TIMES_AS_WIDE = 4
REGISTRATION = "registration"
TAKEN = "taken"
RESET = "reset"


class SignInThrottled(TooManyRequests):
    code = "sign_in_throttled"


@dataclass(frozen=True, slots=True)
class Counter:
    key: bytes
    most: int
    forgiven: bool


def counters(account: str, address: str, device: str | None = None) -> Sequence[Counter]:
    """`account` is its id, or a name that nobody has; `device` one that is known to belong to the account's owner."""
    if device is not None:
        return (Counter(_digest("account on device", f"{device} {account}"), MOST_PER_ACCOUNT, forgiven=True),)
    near, *wide = places(address)
    return (
        Counter(_digest("account at address", f"{near} {account}"), MOST_PER_ACCOUNT, forgiven=True),
        Counter(_digest("account", account), MOST_PER_ACCOUNT_ANYWHERE, forgiven=True),
        Counter(_digest("address", near), MOST_PER_ADDRESS, forgiven=False),
        *(Counter(_digest("address", each), MOST_PER_ADDRESS * TIMES_AS_WIDE, forgiven=False) for each in wide),
    )


def places(address: str) -> list[str]:
    """The address, or the networks of IPv6 in which it is: the /64 of one customer, and the /48 of a site."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return [address]
    if parsed.version == 4:
        return [address]
    if mapped := parsed.ipv4_mapped:
        return [str(mapped)]
    return [str(ip_network((parsed, length), strict=False)) for length in (64, 48)]


def guesses(kind: str, who: str) -> Sequence[Counter]:
    """For codes that somebody who is signed in types from elsewhere."""
    return (Counter(_digest(kind, who), MOST_PER_ACCOUNT, forgiven=True),)


def mails(kind: str, account: str, email_key: str) -> Sequence[Counter]:
    """For mails that somebody can ask for: by account, by address, and by where the mailbox is.

    Which sub-addresses a provider puts into one mailbox is not ours to know.
    """
    domain = email_key.rpartition("@")[2]
    return (
        Counter(_digest(kind, account), MOST_PER_ACCOUNT, forgiven=True),
        Counter(_digest(kind, email_key), MOST_PER_ACCOUNT, forgiven=True),
        Counter(_digest(f"{kind} to domain", domain), MOST_MAILS_OF_DOMAIN, forgiven=True),
    )


def is_used_up(session: Session, counted: Sequence[Counter]) -> bool:
    """As require_patience, for what is then silently left undone."""
    try:
        require_patience(session, counted)
    except SignInThrottled:
        return True
    return False


def require_patience(session: Session, counted: Sequence[Counter]) -> None:
    """Raises SignInThrottled when one of the counters is used up."""
    most = {counter.key: counter.most for counter in counted}
    rows = session.execute(
        select(FailedSignIns.key, FailedSignIns.failures, FailedSignIns.expires_at).where(
            FailedSignIns.key.in_(most), FailedSignIns.expires_at > utcnow()
        )
    ).all()
    ends = [row.expires_at for row in rows if row.failures >= most[bytes(row.key)]]
    if ends:
        raise SignInThrottled("Too many attempts. Try again later.", retry_after=_seconds_until(max(ends)))


def count_failure(session: Session, counted: Sequence[Counter]) -> None:
    for counter in sorted(counted, key=lambda each: each.key):
        _count(session, counter.key)


def count_request(session: Session, kind: str, address: str, *, most: int | None = None) -> None:
    """Raises TooManyRequests for the one that is too many, which is not counted: the window passes all the same."""
    allowed = MOST_REQUESTS if most is None else most
    for place in places(address):
        made, ends_at = _count(session, _digest(kind, place))
        if made > allowed:
            raise TooManyRequests("Too many requests. Try again later.", retry_after=_seconds_until(ends_at))
        allowed *= TIMES_AS_WIDE


def _count(session: Session, key: bytes) -> tuple[int, datetime]:
    """How often it has happened now, and when that is forgotten."""
    now = utcnow()
    over: ColumnElement[bool] = FailedSignIns.expires_at <= now
    statement = insert(FailedSignIns).values(key=key, failures=1, expires_at=now + WINDOW)
    counted = statement.on_conflict_do_update(
        index_elements=[FailedSignIns.key],
        set_={
            "failures": case((over, 1), else_=FailedSignIns.failures + 1),
            "expires_at": case((over, now + WINDOW), else_=FailedSignIns.expires_at),
        },
    )
    row = session.execute(counted.returning(FailedSignIns.failures, FailedSignIns.expires_at)).one()
    return row.failures, row.expires_at


def forgive(session: Session, counted: Sequence[Counter]) -> None:
    """After a success the account starts anew; the address does not, or one's own account would reset it."""
    session.execute(delete(FailedSignIns).where(FailedSignIns.key.in_([each.key for each in counted if each.forgiven])))


def _seconds_until(moment: datetime) -> int:
    return max(1, math.ceil((moment - utcnow()).total_seconds()))


def _digest(kind: str, value: str) -> bytes:
    return hashlib.sha256(f"{kind}:{value}".encode("utf-8", "replace")).digest()
