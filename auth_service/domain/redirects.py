"""Redirect addresses: which may be registered, and whether a requested one is registered.

Compared as strings, exactly (RFC 9700 section 4.1.3). Only the port of a loopback IP address is free, since a
program on somebody's machine takes what port it can get (RFC 8252 section 7.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlencode, urlsplit

MAX_LENGTH = 2000

_CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]+")
_LOOPBACK = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]))(?::([0-9]{1,5}))?((?:[/?].*)?)")
_PRIVATE_USE = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+")
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.?"
)
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


def problem(uri: str, own_origin: str) -> str | None:
    """Why this may not be registered, or None."""
    if len(uri) > MAX_LENGTH or not _CHARACTERS.fullmatch(uri):
        return "must be an absolute URI without a fragment or unusual characters"
    try:
        parts = urlsplit(uri)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return "is not a URI"
    if "@" in parts.netloc or (host and not _is_host(host)):
        return "must name a host, without credentials"
    if host and (parts.scheme == "https" or (parts.scheme == "http" and _is_near(uri, host, own_origin))):
        return None
    if _PRIVATE_USE.fullmatch(parts.scheme):
        return None
    return "must use https, http on a loopback address, or a private-use scheme such as com.example.app"


def _is_host(host: str) -> bool:
    """A DNS name or an address, and nothing that could mean something else where it is written down again."""
    try:
        return _HOST.fullmatch(host) is not None or bool(ip_address(host))
    except ValueError:
        return False


def _is_near(uri: str, host: str, own_origin: str) -> bool:
    """Whether plain HTTP is good enough: it stays on the machine, or goes where our own pages are."""
    return host in _LOCAL_HOSTS or uri.startswith(f"{own_origin}/")


def matches(requested: str, registered: Iterable[str]) -> bool:
    return any(requested == each or _same_but_port(requested, each) for each in registered)


def with_parameters(uri: str, parameters: dict[str, str]) -> str:
    """The registered address with these added to its query."""
    separator = "&" if "?" in uri else "?"
    return f"{uri}{separator}{urlencode(parameters)}"


def form_target(uri: str) -> str:
    """The address as a source of a Content-Security-Policy: its origin, or its scheme for an app."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") else f"{parts.scheme}:"


def _same_but_port(requested: str, registered: str) -> bool:
    ours, theirs = _LOOPBACK.fullmatch(registered), _LOOPBACK.fullmatch(requested)
    if not ours or not theirs or int(theirs[2] or 80) > 65535:
        return False
    return ours[1] == theirs[1] and ours[3] == theirs[3]
