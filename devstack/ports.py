"""TCP ports of the loopback address: which are free, and who has the others."""

from __future__ import annotations

import socket
from contextlib import suppress

import psutil

from devstack.topology import HOST


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def who_has(port: int) -> str:
    """In words for the user, as far as the system tells."""
    with suppress(psutil.Error):
        for each in psutil.net_connections("tcp"):
            if each.status == psutil.CONN_LISTEN and each.laddr.port == port and each.pid:
                command = " ".join(psutil.Process(each.pid).cmdline())
                return f"process {each.pid} ({command[:80]})"
    return "another process"
