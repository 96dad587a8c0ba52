"""The gunicorn worker of the gateway: one greenlet for each connection, and nothing that a client can hold up.

Next to gunicorn's gevent worker: a request's head has a time-out of its own, problems with it are answered as
problem+json, `100 Continue` is sent when the body is wanted, the head leaves together with the first of the body,
and a stop closes idle connections at once.
"""

from __future__ import annotations

import resource
import socket
import time
from contextlib import suppress
from functools import partial
from typing import Any, cast

import gevent
from gevent.event import Event
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer
from gevent.server import StreamServer
from gevent.socket import wait_read
from gunicorn import util
from gunicorn.http import errors as parse_errors
from gunicorn.http import get_parser, wsgi
from gunicorn.workers.ggevent import GeventWorker

from common.health import Draining
from common.telemetry import get_logger
from gateway.config import GatewayConfig
from gateway.http1 import ClientGone, UpstreamFault
from gateway.problems import refusal
from gateway.proxy import CLIENT_SECONDS, is_event_stream

CONNECTIONS = 10_000
OPEN_FILES = 65_536
MOST_FIELDS = 90
"""Of a request's header: a service, whose own limit is 100, gets some of ours as well."""

log = get_logger(__name__)

_STATUSES: dict[type[Exception], int] = {
    parse_errors.LimitRequestLine: 414,
    parse_errors.LimitRequestHeaders: 431,
    parse_errors.ExpectationFailed: 417,
    parse_errors.UnsupportedTransferCoding: 501,
    parse_errors.InvalidHTTPVersion: 505,
}


class Response(wsgi.Response):
    """Says nothing about the server, and sends its head along with the first of its body."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.headers_sent: bool = False
        self._head = b""

    def default_headers(self) -> list[str]:
        return [line for line in super().default_headers() if not line.startswith("Server:")]

    def send_headers(self) -> None:
        if not self.headers_sent:
            lines = [*self.default_headers(), *[f"{name}: {value}\r\n" for name, value in self.headers], "\r\n"]
            self._head = "".join(lines).encode("latin-1")
            self.headers_sent = True

    def write(self, data: bytes) -> None:
        """An empty block sends the head alone: the body may be long in coming."""
        super().write(b"" if self._omits_body else data)
        if not data:
            self._send(b"")

    def _emit_body(self, data: bytes) -> None:
        self._send(b"%X\r\n%b\r\n" % (len(data), data) if self.chunked else data)

    def close(self) -> None:
        self.send_headers()
        self._send(b"0\r\n\r\n" if self.chunked else b"")

    def _send(self, data: bytes) -> None:
        head, self._head = self._head, b""
        if head or data:
            self.sock.sendall(head + data)


class GatewayWorker(GeventWorker):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stopped = Event()
        self._idle: set[socket.socket] = set()
        self._streams: set[socket.socket] = set()
        for name in ("forwarder_headers", "forwarded_allow_ips"):
            self.cfg.set(name, "")  # no header of a client's becomes part of the WSGI environment's own
        self.cfg.set("secure_scheme_headers", {})
        self.cfg.set("header_map", "drop")
        self.cfg.set("limit_request_fields", MOST_FIELDS)

    def init_process(self) -> None:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        allowed = OPEN_FILES if most == resource.RLIM_INFINITY else min(most, OPEN_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
        super().init_process()

    @property
    def _config(self) -> GatewayConfig:
        return cast(GatewayConfig, self.wsgi.extensions["config"])

    def run(self) -> None:
        config = self._config
        if config.metrics_port:
            self._serve_metrics((config.metrics_host, config.metrics_port))
        servers = [self._listen(each) for each in self.sockets]
        while self.alive:
            self.notify()
            self._stopped.wait(1.0)
        for server in servers:
            server.close()
        self._drain(servers)

    def _listen(self, listener: Any) -> StreamServer:
        listener.setblocking(1)
        server = StreamServer(listener, handle=partial(self.handle, listener), spawn=Pool(CONNECTIONS))
        server.max_accept = 1 if self.cfg.workers > 1 else server.max_accept
        server.start()
        return server

    def _drain(self, servers: list[StreamServer]) -> None:
        deadline = time.monotonic() + self.cfg.graceful_timeout
        while time.monotonic() < deadline and not all(server.pool.join(timeout=0.5) for server in servers):
            self.notify()

    def _serve_metrics(self, address: tuple[str, int]) -> None:
        """On a port of their own, which is not public. Of several workers the first one answers."""
        try:
            WSGIServer(address, self.wsgi.extensions["metrics"], log=None).start()
        except OSError as error:
            log.warning("metrics_not_served", error=str(error))

    def handle_exit(self, sig: int, frame: Any) -> None:
        super().handle_exit(sig, frame)
        Draining.begun.set()
        gevent.spawn(self._let_go)

    def _let_go(self) -> None:
        """Nothing is lost with a connection that waits, and a client resumes a stream elsewhere."""
        self._stopped.set()
        for client in [*self._idle, *self._streams]:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def handle(self, listener: Any, client: socket.socket, addr: Any) -> None:
        """All requests of one connection."""
        client.settimeout(CLIENT_SECONDS)
        parser = get_parser(self.cfg, client, addr)
        server = listener.getsockname()
        try:
            while request := self._next_request(parser, client):
                if not self._answer(parser, request, client, addr, server):
                    break
        except parse_errors.ParseException as error:
            _refuse(client, error)
        except (OSError, StopIteration, ClientGone):
            log.debug("client_left")
        except Exception as error:
            log.error("connection_failed", exc_info=error)
        finally:
            util.close(client)

    def _next_request(self, parser: Any, client: socket.socket) -> Any:
        """None when the client sent none for as long as a connection is kept, or not in time."""
        if not parser.unreader.buf.getvalue() and not self._await_data(client):
            return None
        with gevent.Timeout(self._config.client_head_seconds, False):
            return next(parser)
        return None

    def _await_data(self, client: socket.socket) -> bool:
        if not self.alive:
            return False
        self._idle.add(client)
        try:
            wait_read(client.fileno(), timeout=self.cfg.keepalive, timeout_exc=TimeoutError())
        except TimeoutError:
            return False
        finally:
            self._idle.discard(client)
        return True

    def _answer(self, parser: Any, request: Any, client: socket.socket, addr: Any, server: Any) -> bool:
        """Whether the connection can be used for another request."""
        expects, request._expected_100_continue = request._expected_100_continue, False
        response, environ = wsgi.create(request, client, addr, server, self.cfg, response_class=Response)
        if expects:
            environ["gateway.send_continue"] = partial(_send_continue, client, environ)
        environ["gateway.read_ahead"] = parser.unreader.take_buffered
        if not self.alive:
            response.force_close()
        self._respond(response, environ, client)
        if response.should_close():
            util.close_graceful(client)
            return False
        return True

    def _respond(self, response: Response, environ: dict[str, Any], client: socket.socket) -> None:
        blocks = self.wsgi(environ, response.start_response)
        if "gateway.send_continue" in environ or environ.get("gateway.body_unread"):
            response.force_close()  # a body that is still to come, or not, makes ambiguous what follows
        if response.upgrade:
            response.force_close()  # nothing after it is a request
        if response.upgrade or is_event_stream(response.headers):
            self._streams.add(client)
        try:
            for block in blocks:
                response.write(block)
            response.close()
        except UpstreamFault as fault:
            log.warning("answer_cut_short", fault=type(fault).__name__)
            raise ClientGone from None  # closing without an end is how the client learns of it
        finally:
            self._streams.discard(client)
            if hasattr(blocks, "close"):
                blocks.close()


def _send_continue(client: socket.socket, environ: dict[str, Any]) -> None:
    del environ["gateway.send_continue"]
    client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


def _refuse(client: socket.socket, error: Exception) -> None:
    """A request that could not be read; the connection ends with it, for nobody knows where the next one begins."""
    client.sendall(refusal(_STATUSES.get(type(error), 400)))
    util.close_graceful(client)
