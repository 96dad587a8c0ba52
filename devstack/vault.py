"""Secrets of a store on one machine: made at random when first asked for, and kept in a file of the owner's."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from devstack.files import write_private


class Vault:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def __getitem__(self, name: str) -> str:
        """The secret of this name, 256 bits of randomness in characters that are safe in a URL."""
        if name not in self._known:
            self._known[name] = secrets.token_urlsafe(32)
            write_private(self._path, json.dumps(self._known, indent=2))
        return self._known[name]
