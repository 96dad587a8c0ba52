"""The HTTP process: an application under gunicorn, which drains before it ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker

from common.config import Config
from common.health import Draining

GRACEFUL_SECONDS = 25
MEMORY_DISK = "/dev/shm"  # noqa: S108 - the heartbeat file must not wait for a disk


class StandardLogger(Logger):
    """Gunicorn's messages through the process's own logging; requests are logged by the application."""

    def setup(self, cfg: Any) -> None:
        self.error_log.propagate = True
        self.error_log.setLevel("WARNING")

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """The application has written its line, with the route's template in place of the path."""


def _drain_on_exit(worker: Worker) -> None:
    """A process that is told to end says so at once: it is not ready any more, and nobody goes on waiting in it."""

    def end(number: int, frame: Any) -> None:
        Draining.begun.set()
        worker.handle_exit(number, frame)

    signal.signal(signal.SIGTERM, end)


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
            "graceful_timeout": GRACEFUL_SECONDS,
            "timeout": 60,
            "keepalive": 75,
            "limit_request_line": 8190,
            "max_requests": 0,
            "worker_tmp_dir": MEMORY_DISK if os.path.isdir(MEMORY_DISK) else None,
            "control_socket_disable": True,
            "loglevel": "warning",
            "logger_class": StandardLogger,
            "post_worker_init": _drain_on_exit,
        }
        for name, value in chosen.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return self._create_app(self._settings)
