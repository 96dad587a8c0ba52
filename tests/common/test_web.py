"""The web process as the operating system sees it: probes while it is busy, and its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.common.toy import ToyConfig
from tests.gateway.conftest import free_port
from tests.support.database import environment
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
SERVER = """
import time
from flask import Blueprint
from common.app import service_app
from common.auth import public
from common.web import WebServer
from tests.common.toy import ToyConfig
from tests.support import tokens
api = Blueprint("slow", __name__)
@api.get("/slow/<int:seconds>")
@public
def slow(seconds):
    time.sleep(seconds)
    return {}
WebServer(ToyConfig.from_env(), lambda config: service_app(config, [api], keys=tokens.keys)).run()
"""


@dataclass
class Web:
    process: subprocess.Popen[bytes]
    url: str
    health: str

    def probe(self, path: str) -> int:
        return requests.get(f"{self.health}{path}", timeout=5).status_code

    def is_up(self) -> bool:
        try:
            return self.probe("/readyz") == 200
        except requests.ConnectionError:
            return False


Start = Callable[..., AbstractContextManager[Web]]


@pytest.fixture
def start(config: ToyConfig, admin_database_url: str) -> Start:
    @contextmanager
    def started(**settings: str) -> Iterator[Web]:
        port, health_port = free_port(), free_port()
        environ = environment(admin_database_url, "toy", PORT=str(port), HEALTH_PORT=str(health_port), **settings)
        environ |= {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen([sys.executable, "-c", SERVER], cwd=ROOT, env=environ)
        web = Web(process, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{health_port}")
        try:
            eventually(web.is_up, within=30)
            yield web
        finally:
            process.terminate()
            process.wait(40)

    return started


def test_probes_are_answered_while_every_thread_is_taken(start: Start) -> None:
    with start(WEB_THREADS="2") as web, ThreadPoolExecutor(4) as pool:
        slow = [pool.submit(requests.get, f"{web.url}/slow/2", timeout=20) for _ in range(4)]
        eventually(lambda: not web_answers(web), within=5)
        began = time.monotonic()
        assert [web.probe(path) for path in ("/livez", "/readyz", "/metrics")] == [200] * 3
        assert time.monotonic() - began < 1.0
        assert not all(each.done() for each in slow)
        assert [each.result().status_code for each in slow] == [200] * 4


def web_answers(web: Web) -> bool:
    try:
        return requests.get(f"{web.url}/livez", timeout=0.2).status_code == 200
    except requests.Timeout:
        return False


def test_who_has_not_heard_of_the_end_is_still_served(start: Start) -> None:
    with start(DRAIN_SECONDS="3") as web:
        with requests.Session() as kept:
            assert "close" not in kept.get(f"{web.url}/slow/0", timeout=5).headers.get("Connection", "")
            web.process.send_signal(signal.SIGTERM)
            eventually(lambda: web.probe("/readyz") == 503)
            assert web.probe("/livez") == 200
            assert kept.get(f"{web.url}/slow/0", timeout=5).headers["Connection"] == "close"
        answer = requests.get(f"{web.url}/slow/0", timeout=5)
        assert (answer.status_code, answer.headers["Connection"]) == (200, "close")
        assert web.process.wait(20) == 0
