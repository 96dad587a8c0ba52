"""Addresses that clients name for us to call: never one of our own networks, however the name resolves.

A name is looked up again whenever it is called, so what counts is the address at the other end of the connection. It is
looked at before anything is sent.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError
from urllib3.poolmanager import PoolManager

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Outside:
    """All public addresses, and those in `allowed` networks."""

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    def problem(self, url: str) -> str | None:
        """Why nobody may have us call this, as far as its name tells now; or None."""
        host = urlsplit(url).hostname or ""
        try:
            found = {str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
        except (OSError, UnicodeError):
            return None  # nobody is there now; whoever is later is looked at then
        return None if all(map(self.has, found)) else "must not lead to a loopback, link-local or private address"

    def has(self, address: str) -> bool:
        parsed = ipaddress.ip_address(address.partition("%")[0])
        plain = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped else parsed
        return (plain.is_global and not plain.is_multicast) or any(plain in network for network in self._allowed)

    def session(self) -> requests.Session:
        """For calls that end before anything is sent to an address that is not outside. No proxy is asked."""
        opened = requests.Session()
        opened.trust_env = False
        for scheme in ("http://", "https://"):
            opened.mount(scheme, _Adapter(self))
        return opened


class _Adapter(HTTPAdapter):
    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        manager: PoolManager = self.poolmanager
        manager.pool_classes_by_scheme = _pools(self._outside)


def _pools(outside: Outside) -> dict[str, type[HTTPConnectionPool]]:
    def checked(connection: HTTPConnection, opened: socket.socket) -> socket.socket:
        if outside.has(opened.getpeername()[0]):
            return opened
        opened.close()
        raise NewConnectionError(connection, "the address is one of our own networks")

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return checked(self, super()._new_conn())

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return checked(self, super()._new_conn())

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}
