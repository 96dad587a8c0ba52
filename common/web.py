"""The HTTP process: an application under gunicorn, which drains before it ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker

from common.app import bare_app
from common.config import Config, ServiceConfig
from common.health import Draining, health_blueprint, serve_in_background
from common.telemetry import get_logger

GRACEFUL_SECONDS = 25
STUCK_SECONDS = 30
"""After so long without a turn of its main loop, a process is not alive."""
log = get_logger(__name__)
MEMORY_DISK = "/dev/shm"  # noqa: S108 - the heartbeat file must not wait for a disk


class StandardLogger(Logger):
    """Gunicorn's messages through the process's own logging; requests are logged by the application."""

    def setup(self, cfg: Any) -> None:
        self.error_log.propagate = True
        self.error_log.setLevel("WARNING")

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """The application has written its line, with the route's template in place of the path."""


def _prepare(worker: Worker) -> None:
    config: Config = worker.wsgi.extensions["config"]
    _drain_on_exit(worker, config.drain_seconds)
    if isinstance(config, ServiceConfig) and config.health_port:
        _serve_health(worker, config)


def _drain_on_exit(worker: Worker, seconds: float) -> None:
    """A process that is told to end says so at once: it is not ready any more, and nobody goes on waiting in it.

    For so many seconds, whoever has not heard of it is still served.
    """

    def end(number: int, frame: Any) -> None:
        Draining.begun.set()
        if seconds:
            threading.Timer(seconds, worker.handle_exit, (number, frame)).start()
        else:
            worker.handle_exit(number, frame)

    signal.signal(signal.SIGTERM, end)


def _close_when_draining(_worker: Worker, request: Any) -> None:
    """The next request of a kept connection goes to another process."""
    if Draining.begun.is_set():
        request.force_close()


def _serve_health(worker: Worker, config: ServiceConfig) -> None:
    """Health and metrics on a thread of their own: however busy the others are, it answers."""

    def is_alive() -> bool:
        return time.monotonic() - worker.tmp.last_update() < STUCK_SECONDS

    app = bare_app(config, [health_blueprint(worker.wsgi.extensions["database"].ping_aside, is_alive)])
    try:
        serve_in_background(app, config.host, config.health_port)
    except (OSError, SystemExit) as error:  # of several workers the first one answers
        log.warning("health_not_served", error=repr(error))


class WebServer(BaseApplication):
    """Runs `create_app(config)`, loaded once in the parent so that its memory is shared."""

    def __init__(self, config: Config, create_app: Callable[[Any], Any]) -> None:
        self._settings = config
        self._create_app = create_app
        super().__init__()

    def load_config(self) -> None:
        settings = self._settings
        chosen = {
            "bind": f"{settings.host}:{settings.port}",
            "workers": settings.web_workers,
            "threads": settings.web_threads,
            "worker_class": settings.worker_class,
            "proc_name": settings.service,
            "preload_app": True,
            "graceful_timeout": GRACEFUL_SECONDS + round(settings.drain_seconds),
            "timeout": 60,
            "keepalive": 75,
            "limit_request_line": 8190,
            "max_requests": 0,
            "worker_tmp_dir": MEMORY_DISK if os.path.isdir(MEMORY_DISK) else None,
            "control_socket_disable": True,
            "loglevel": "warning",
            "logger_class": StandardLogger,
            "pre_request": _close_when_draining,
            "post_worker_init": _prepare,
        }
        for name, value in chosen.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return self._create_app(self._settings)
