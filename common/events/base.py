"""What every event is: frozen, named with its version, and keyed by what it is about."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

_BY_NAME: dict[str, type[Event]] = {}


class Event(BaseModel):
    """A fact. Fields that a reader does not know are ignored, so a writer may add some."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    name: ClassVar[str]
    key_field: ClassVar[str]
    urgent: ClassVar[bool] = False
    """Whether somebody waits for it: urgent events overtake others, so all events of one key must agree."""
    again_after: ClassVar[timedelta | None] = None
    """So long after it came it is handled once more, by handlers that bear it: until then, what it ends may go on."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            return
        if cls.name in _BY_NAME:
            raise TypeError(f"two events are named {cls.name}")
        _BY_NAME[cls.name] = cls

    @property
    def key(self) -> str:
        """Events of one key reach every consumer in the order in which they were recorded."""
        return str(getattr(self, self.key_field))


def published() -> dict[str, type[Event]]:
    """All contracts by name."""
    from common.events import administration, auth, catalog, orders, reviews  # noqa: F401, PLC0415 - they register themselves

    return dict(sorted(_BY_NAME.items()))


def by_name(name: str) -> type[Event] | None:
    return published().get(name)
