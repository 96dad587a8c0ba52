"""Our books against the provider's: what stands in one and not in the other, and what of it can be put right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import partial
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from common.db import Database, utcnow
from common.errors import Unavailable
from order_service.domain import payments
from order_service.domain.payments import STUCK_AFTER
from order_service.domain.totals import ZERO
from order_service.models import Order, Payment, PaymentStatus, Refund, RefundStatus, Status
from order_service.payments import processing
from order_service.payments.provider import Entry, PaymentProvider


class Kind(StrEnum):
    MISSING_HERE = "missing here"
    MISSING_THERE = "missing there"
    UNSETTLED = "not settled here"
    AMOUNT = "amount differs"
    REFUND = "refund differs"
    KEPT = "not given back"


@dataclass(frozen=True, slots=True)
class Difference:
    """`ours` and `theirs` are amounts; `mend` does what is safe, and says whether the difference is gone."""

    kind: Kind
    payment: str
    reference: str | None
    ours: Decimal | None
    theirs: Decimal | None
    currency: str
    mend: Callable[[], bool] | None = None


def differences(database: Database, provider: PaymentProvider, since: datetime) -> Iterator[Difference]:
    """All since then. What is under way at this moment is none. Raises Unavailable."""
    until = utcnow() - STUCK_AFTER
    seen: set[UUID] = set()
    for entry in provider.entries(since):
        attempt = processing.of_entry(database, provider, entry)
        if attempt:
            seen.add(attempt.id)
            yield from _compared(database, provider, attempt, entry)
        elif entry.kept > ZERO:
            yield _orphan(provider, entry)
    with database.read() as session:
        ours = _ours(session, provider, since, until)
    for attempt in ours:
        if attempt.id not in seen:
            yield from _absent(database, provider, attempt)


def _ours(session: Session, provider: PaymentProvider, since: datetime, until: datetime) -> list[Payment]:
    """Attempts for which there must be something at the provider, or of which nobody knows yet."""
    wanted = select(Payment).where(Payment.provider == provider.name, Payment.created_at.between(since, until))
    wanted = wanted.where(Payment.status != PaymentStatus.FAILED, Payment.amount > ZERO)
    return list(session.scalars(wanted.order_by(Payment.created_at)))


def _orphan(provider: PaymentProvider, entry: Entry) -> Difference:
    mend = partial(processing.send_back, provider, entry, entry.kept)
    return Difference(Kind.MISSING_HERE, entry.key, entry.charge.reference, None, entry.kept, entry.currency, mend)


def _absent(database: Database, provider: PaymentProvider, attempt: Payment) -> Iterator[Difference]:
    found = provider.look_up(attempt.reference) if attempt.reference else None
    if found:
        yield from _compared(database, provider, attempt, found)
    elif attempt.status == PaymentStatus.SUCCEEDED:
        yield _difference(Kind.MISSING_THERE, attempt, attempt.amount, None)
    else:
        yield _difference(Kind.UNSETTLED, attempt, None, None, partial(_settled, database, provider, attempt.id))


def _compared(database: Database, provider: PaymentProvider, attempt: Payment, entry: Entry) -> Iterator[Difference]:
    """Looked at a second time where they differ: a page of the provider's may be older than what we know since."""
    if any(_differing(database, provider, attempt, entry)):
        fresh = provider.look_up(entry.charge.reference) if entry.charge.reference else None
        attempt = processing.of_entry(database, provider, entry) or attempt
        yield from _differing(database, provider, attempt, fresh or entry)


def _differing(database: Database, provider: PaymentProvider, attempt: Payment, entry: Entry) -> Iterator[Difference]:
    if attempt.status == PaymentStatus.PROCESSING:
        if not entry.charge.is_pending:
            mend = partial(_settled, database, provider, attempt.id)
            yield _difference(Kind.UNSETTLED, attempt, None, entry.captured, mend)
        return
    if attempt.status == PaymentStatus.FAILED:
        if entry.kept > ZERO:
            mend = partial(processing.send_back, provider, entry, entry.kept)
            yield _difference(Kind.MISSING_HERE, attempt, ZERO, entry.kept, mend)
        return
    if attempt.amount != entry.captured or attempt.currency != entry.currency:
        yield _difference(Kind.AMOUNT, attempt, attempt.amount, entry.captured)
    yield from _refunds_differing(database, provider, attempt, entry)


def _refunds_differing(
    database: Database, provider: PaymentProvider, attempt: Payment, entry: Entry
) -> Iterator[Difference]:
    with database.read() as session:
        refunds = session.scalars(select(Refund).where(Refund.payment_id == attempt.id)).all()
        is_cancelled = session.get_one(Order, attempt.order_id).status == Status.CANCELLED
    given = sum((each.amount for each in refunds if each.status == RefundStatus.SUCCEEDED), ZERO)
    promised = [each for each in refunds if each.status == RefundStatus.PENDING]
    if any(each.created_at > utcnow() - STUCK_AFTER for each in promised):
        return  # under way
    if given != entry.refunded or promised:
        mend = partial(_given, database, provider, [each.id for each in promised]) if promised else None
        yield _difference(Kind.REFUND, attempt, given, entry.refunded, mend)
    elif is_cancelled and given < attempt.amount:  # a refund has failed, and nobody asks for another
        yield _difference(Kind.KEPT, attempt, ZERO, entry.kept, partial(_given_again, database, provider, attempt.id))


def _difference(
    kind: Kind,
    attempt: Payment,
    ours: Decimal | None,
    theirs: Decimal | None,
    mend: Callable[[], bool] | None = None,
) -> Difference:
    return Difference(kind, str(attempt.id), attempt.reference, ours, theirs, attempt.currency, mend)


def _settled(database: Database, provider: PaymentProvider, payment_id: UUID) -> bool:
    return processing.resolve(database, provider, payment_id).status != PaymentStatus.PROCESSING


def _given(database: Database, provider: PaymentProvider, refund_ids: list[UUID]) -> bool:
    for refund_id in refund_ids:
        processing.give_back(database, provider, refund_id)
    with database.read() as session:
        left = select(func.count()).where(Refund.id.in_(refund_ids), Refund.status != RefundStatus.SUCCEEDED)
        return session.scalar(left) == 0


def _given_again(database: Database, provider: PaymentProvider, payment_id: UUID) -> bool:
    with database.transaction() as session:
        promised = payments.give_back_again(session, payment_id)
    return promised is None or _given(database, provider, [promised.id])


def mended(difference: Difference) -> bool:
    """Do what is safe about a difference; whether that was enough."""
    try:
        return difference.mend is not None and difference.mend()
    except (Unavailable, LookupError):  # what the provider has no word about stays open
        return False
