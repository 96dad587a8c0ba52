"""What the catalog's worker does by the clock."""

from __future__ import annotations

from catalog_service.domain import words
from common.worker import Timer

TIMERS = [Timer("learn-words", 2.0, words.learn_all)]
