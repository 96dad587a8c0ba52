"""What a client's frames may cost."""

from __future__ import annotations

import base64
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from wsproto.events import Ping
from wsproto.events import TextMessage as Text
from wsproto.frame_protocol import CloseReason, FrameProtocol

from order_service.websocket import FRAMES_AT_ONCE, MOST_FRAGMENTS, WebSocket

LONGEST = 16_384
EMPTY_FRAGMENT = b"\x00\x80\x00\x00\x00\x00"
FIRST_FRAGMENT = b"\x01\x80\x00\x00\x00\x00"


@pytest.fixture
def sides() -> Iterator[tuple[WebSocket, socket.socket]]:
    ours, theirs = socket.socketpair()
    key = base64.b64encode(b"0" * 16).decode()
    environ: dict[str, Any] = {"gunicorn.socket": ours, "PATH_INFO": "/socket.io/", "HTTP_HOST": "x"}
    environ |= {"HTTP_UPGRADE": "websocket", "HTTP_CONNECTION": "Upgrade", "HTTP_SEC_WEBSOCKET_VERSION": "13"}
    websocket = WebSocket(environ | {"HTTP_SEC_WEBSOCKET_KEY": key}, LONGEST)
    websocket.accept()
    theirs.recv(4096)
    yield websocket, theirs
    ours.close()
    theirs.close()


def frame(event: Any) -> bytes:
    client = FrameProtocol(client=True, extensions=[])
    return bytes(client.ping(event.payload) if isinstance(event, Ping) else client.send_data(event.data, fin=True))


def close_code(theirs: socket.socket) -> int:
    protocol = FrameProtocol(client=True, extensions=[])
    while data := theirs.recv(65536):
        protocol.receive_bytes(data)
    frames = [each for each in protocol.received_frames() if each.opcode.name == "CLOSE"]
    return int(frames[0].payload[0])


def test_a_message_in_parts_is_whole(sides: tuple[WebSocket, socket.socket]) -> None:
    websocket, theirs = sides
    client = FrameProtocol(client=True, extensions=[])
    theirs.sendall(client.send_data("ab", fin=False) + client.send_data("c", fin=True))
    assert websocket.wait() == "abc"
    theirs.sendall(frame(Text("d")))
    assert websocket.wait() == "d"


def test_empty_fragments_have_an_end(sides: tuple[WebSocket, socket.socket]) -> None:
    websocket, theirs = sides
    theirs.sendall(FIRST_FRAGMENT + EMPTY_FRAGMENT * 20_000)
    began = time.process_time()
    assert websocket.wait() is None
    assert time.process_time() - began < 0.5
    assert len(websocket._parts) <= MOST_FRAGMENTS
    assert close_code(theirs) == CloseReason.MESSAGE_TOO_BIG


@pytest.mark.parametrize("event", [Ping(b""), Text("")])
def test_a_flood_of_frames_ends_the_connection(sides: tuple[WebSocket, socket.socket], event: Any) -> None:
    websocket, theirs = sides
    theirs.sendall(frame(event) * (FRAMES_AT_ONCE * 2))
    taken = 0
    while websocket.wait() is not None:
        taken += 1
    assert taken <= FRAMES_AT_ONCE
    assert close_code(theirs) == CloseReason.POLICY_VIOLATION


def test_a_long_message_is_too_long_in_parts_as_well(sides: tuple[WebSocket, socket.socket]) -> None:
    websocket, theirs = sides
    client = FrameProtocol(client=True, extensions=[])
    theirs.sendall(client.send_data("x" * LONGEST, fin=False) + client.send_data("y", fin=True))
    assert websocket.wait() is None
    assert close_code(theirs) == CloseReason.MESSAGE_TOO_BIG
