"""Our cookies in a request and in an answer (RFC 6265bis)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gateway.problems import Fields

MOST_FLOWS = 3
"""Sign-ins that may be under way in one browser at a time, in tabs beside each other."""
_FLOW = "login_"


class Cookies:
    """Names of our cookies: bound to the host and to a secure connection wherever there is one."""

    def __init__(self, *, secure: bool) -> None:
        self._prefix = "__Host-" if secure else ""
        self._attributes = "; Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")
        self._ours = tuple(f"{self._prefix}{name}" for name in ("shop_session", "admin_session", _FLOW))

    def session(self, portal: str) -> str:
        return f"{self._prefix}{portal}_session"

    def flow(self, state: str) -> str:
        return f"{self._prefix}{_FLOW}{state[:8]}"

    def is_flow(self, name: str) -> bool:
        return name.startswith(f"{self._prefix}{_FLOW}")

    def set(self, name: str, value: str, seconds: int) -> tuple[str, str]:
        """As a header field."""
        return "Set-Cookie", f"{name}={value}; Max-Age={seconds}{self._attributes}"

    def clear(self, name: str) -> tuple[str, str]:
        return self.set(name, "", 0)

    def strip(self, environ: dict[str, Any]) -> None:
        """Take ours out of a request: no service needs them."""
        self._keep(environ, lambda name: not name.startswith(self._ours))

    def _keep(self, environ: dict[str, Any], wanted: Callable[[str], bool]) -> None:
        given = environ.get("HTTP_COOKIE")
        if given is None or not any(each in given for each in self._ours):
            return
        kept = [pair for pair in given.split(";") if wanted(pair.partition("=")[0].strip())]
        if kept:
            environ["HTTP_COOKIE"] = ";".join(kept).strip()
        else:
            del environ["HTTP_COOKIE"]


def values(environ: dict[str, Any], name: str) -> list[str]:
    """All values under one name: another site of the same host may have set a second one."""
    return [value for key, value in pairs(environ) if key == name]


def pairs(environ: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for pair in environ.get("HTTP_COOKIE", "").split(";"):
        name, separator, value = pair.partition("=")
        if separator:
            yield name.strip(), value.strip()


def keep_private(fields: Fields) -> None:
    """An answer that sets a cookie is one person's: no cache on the way may keep it for others."""
    fields[:] = [each for each in fields if each[0].lower() not in ("cache-control", "cdn-cache-control")]
    fields.append(("Cache-Control", "no-store"))
