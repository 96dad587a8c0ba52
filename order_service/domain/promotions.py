"""Codes that make an order cheaper. Whoever counts a promotion's uses holds its row, so that limits are exact."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from common.db import utcnow
from common.errors import Conflict, NotFound
from order_service.models import Promotion, PromotionUse


class PromotionRefused(Conflict):
    """`reason` says why: unknown, not_now, used_up, used_by_you, minimum."""

    code = "promotion_refused"


def lock(session: Session, code: str, user_id: UUID) -> Promotion:
    """The promotion, kept for this transaction, if this user may use it now. Raises PromotionRefused."""
    statement = select(Promotion).where(Promotion.code == code.upper()).with_for_update()
    return _usable(session, session.scalar(statement.execution_options(populate_existing=True)), user_id)


def look(session: Session, code: str, user_id: UUID) -> Promotion:
    """As `lock`, without keeping it: for a price that binds nobody."""
    return _usable(session, session.scalar(select(Promotion).where(Promotion.code == code.upper())), user_id)


def _usable(session: Session, found: Promotion | None, user_id: UUID) -> Promotion:
    if found is None or not found.is_active:
        raise PromotionRefused("There is no such code.", reason="unknown")
    now = utcnow()
    if (found.starts_at and now < found.starts_at) or (found.ends_at and now >= found.ends_at):
        raise PromotionRefused("This code is not valid today.", reason="not_now")
    if found.limit_total is not None and found.used >= found.limit_total:
        raise PromotionRefused("This code has been used up.", reason="used_up")
    if found.limit_per_user is not None and _uses(session, found.id, user_id) >= found.limit_per_user:
        raise PromotionRefused("You have used this code already.", reason="used_by_you")
    return found


def _uses(session: Session, promotion_id: UUID, user_id: UUID) -> int:
    mine = (PromotionUse.promotion_id == promotion_id, PromotionUse.user_id == user_id)
    return session.scalar(select(func.count()).select_from(PromotionUse).where(*mine)) or 0


def use(session: Session, promotion: Promotion, order_id: UUID, user_id: UUID) -> None:
    """Count an order, which exists already, against a promotion that is locked."""
    session.add(PromotionUse(order_id=order_id, promotion_id=promotion.id, user_id=user_id))
    promotion.used += 1
    session.flush()


def give_back(session: Session, order_id: UUID) -> None:
    """An order ended unpaid: its code can be used again."""
    gone = delete(PromotionUse).where(PromotionUse.order_id == order_id).returning(PromotionUse.promotion_id)
    promotion_id = session.scalar(gone)
    if promotion_id:
        session.execute(update(Promotion).where(Promotion.id == promotion_id).values(used=Promotion.used - 1))


def get(session: Session, promotion_id: UUID) -> Promotion:
    """To be changed: locked. Raises NotFound."""
    found = session.get(Promotion, promotion_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise NotFound
    return found


def require_free_code(session: Session, code: str, *, but: UUID | None = None) -> None:
    """Raises Conflict when another promotion has the code."""
    taken = session.scalar(select(Promotion.id).where(Promotion.code == code))
    if taken is not None and taken != but:
        raise Conflict("There is a promotion with this code.")
