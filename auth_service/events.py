"""What the auth service hears of: nothing yet. It only tells."""

from collections.abc import Callable

from sqlalchemy.orm import Session

from common.events import Event

HANDLERS: dict[type[Event], Callable[[Session, Event], None]] = {}
