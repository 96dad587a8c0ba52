"""What reading an answer costs, by parser: `python -m benchmarks.answers`. Microseconds of CPU, and each as a ratio.

h11 is not among the store's requirements: `pip install h11` to have its row.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from gateway.http1 import parse_head

ROUNDS = 20_000
BODY = b"x" * 1500
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1500\r\n"
    b'ETag: "1.1.abcdef"\r\nVary: Authorization\r\nCache-Control: no-cache\r\nX-Request-ID: 0123456789abcdef\r\n'
    b"Connection: keep-alive\r\nDate: Tue, 01 Dec 2026 14:00:00 GMT\r\n\r\n" + BODY
)


def by_httptools() -> None:
    parse_head(ANSWER, "GET")


def by_h11() -> None:
    import h11  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - only this row needs it

    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(ANSWER)
    while not isinstance(connection.next_event(), h11.EndOfMessage):
        pass


def microseconds(work: Callable[[], None]) -> float:
    work()
    began = time.process_time()
    for _ in range(ROUNDS):
        work()
    return (time.process_time() - began) / ROUNDS * 1e6


def main() -> None:
    first = microseconds(by_httptools)
    print(f"httptools, with our sorting of fields   {first:6.1f} us   1.00")
    with suppress(ImportError):
        other = microseconds(by_h11)
        print(f"h11, without it                         {other:6.1f} us   {other / first:.2f}")


if __name__ == "__main__":
    main()
