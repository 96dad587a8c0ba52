"""What the auth service publishes, keyed by user."""

from datetime import timedelta
from typing import ClassVar
from uuid import UUID

from common.events.base import Event


class _UserEvent(Event):
    key_field: ClassVar[str] = "user_id"
    urgent: ClassVar[bool] = True

    user_id: UUID


class UserRegistered(_UserEvent):
    name: ClassVar[str] = "auth.user_registered.v1"

    username: str
    email: str
    role: str


class UserUpdated(_UserEvent):
    """The whole of what others may know of a user, after a change."""

    name: ClassVar[str] = "auth.user_updated.v1"

    username: str
    email: str
    role: str


class UserDeactivated(_UserEvent):
    name: ClassVar[str] = "auth.user_deactivated.v1"


class UserReactivated(_UserEvent):
    name: ClassVar[str] = "auth.user_reactivated.v1"


class UserErased(_UserEvent):
    """The person asked to be forgotten: remove or anonymise what is held about them.

    Their last token is refused within a second, and what was asked with it may be under way: that is forgotten later.
    """

    name: ClassVar[str] = "auth.user_erased.v1"
    again_after: ClassVar[timedelta | None] = timedelta(seconds=30)
