"""The published language: what the services tell each other has happened, in the past tense.

A contract never changes its meaning. It may gain optional fields; anything else is a new version beside it.
"""

from common.events.base import Event, by_name, published
from common.events.envelope import Envelope

__all__ = ["Envelope", "Event", "by_name", "published"]
