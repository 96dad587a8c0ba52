"""Whom the embedded Postgres runs as. It refuses uid 0, so root lends it an ordinary account that exists already."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Account:
    """An unprivileged user of this machine."""

    uid: int
    gid: int

    @property
    def popen_options(self) -> dict[str, Any]:
        """What makes subprocess start a command as this user, from a directory that everybody may enter."""
        options: dict[str, Any] = {"cwd": "/"}
        if os.geteuid() == 0:
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return options

    def can_run(self, command: Sequence[str]) -> bool:
        """Whether `command` can be executed at all by this user, and ends well."""
        try:
            done = subprocess.run(command, capture_output=True, check=False, **self.popen_options)
        except OSError:
            return False
        return done.returncode == 0

    def can_enter(self, directory: Path) -> bool:
        return self.can_run(["/bin/sh", "-c", 'cd -- "$1"', "sh", str(directory)])

    def take(self, path: Path) -> None:
        """Make `path` this user's own."""
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid)


def unprivileged() -> Account:
    """The user that started us, or for root the system's nobody; no account is ever created."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    nobody = pwd.getpwnam("nobody")
    return Account(nobody.pw_uid, nobody.pw_gid)
