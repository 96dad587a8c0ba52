"""Named places where a test may crash the process, to prove that nothing is lost or doubled there.

`FAIL_POINT=relay.before_confirm` ends the process at once the first time it gets there; `name:3` the third time.
"""

from __future__ import annotations

import os
import threading

NAMES = (
    "request.before_commit",
    "request.after_commit",
    "relay.before_publish",
    "relay.before_confirm",
    "relay.after_confirm",
    "relay.after_mark",
    "pump.before_stage",
    "pump.after_stage",
    "pump.after_ack",
    "handler.before_effect",
    "handler.before_commit",
    "handler.after_commit",
    "payment.after_charge",
    "payment.after_refund",
)
EXIT_STATUS = 86

_passed: dict[str, int] = {}
_lock = threading.Lock()


def reach(name: str) -> None:
    """Crash here, without any clean-up, if the environment says so."""
    armed = os.environ.get("FAIL_POINT")
    if armed is None:
        return
    wanted, _, nth = armed.partition(":")
    if wanted != name:
        return
    with _lock:
        _passed[name] = _passed.get(name, 0) + 1
        if _passed[name] == int(nth or 1):
            os._exit(EXIT_STATUS)
