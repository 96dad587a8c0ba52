"""Prometheus metrics of the frame. Labels are route templates and names from code, never values from outside."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_REQUESTS = Histogram(
    "http_request_duration_seconds",
    "Time to answer a request",
    ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
EVENTS_PUBLISHED = Counter("events_published_total", "Events confirmed by the bus")
EVENTS_RECEIVED = Counter("events_received_total", "Events taken from the bus into the inbox")
EVENTS_DUPLICATE = Counter("events_duplicate_total", "Events that the inbox had already")
EVENTS_HANDLED = Counter("events_handled_total", "Events whose effect is committed", ["event"])
EVENTS_FAILED = Counter("events_failed_total", "Attempts to handle an event that failed", ["event"])
EVENTS_DEAD = Counter("events_dead_total", "Events set aside after their last attempt", ["event"])
OUTBOX_DEPTH = Gauge("outbox_depth", "Events recorded and not yet confirmed by the bus")
OUTBOX_AGE = Gauge("outbox_age_seconds", "Age of the oldest event not yet confirmed by the bus")
INBOX_DEPTH = Gauge("inbox_depth", "Events received and not yet handled")
INBOX_UNKNOWN = Gauge("inbox_unknown", "Events that wait for a version of this service that knows them")
BUS_UP = Gauge("bus_up", "1 when the bus answered the last time it was asked, else 0")
REVOCATIONS_UP = Gauge("revocations_up", "0 while the auth service does not tell what was revoked, else 1")
REVOCATIONS_UP.set(1)  # also of a process that does not ask for it
DEAD_LETTERS = Gauge("dead_letters", "Events that wait for somebody to look at them")


def observe_request(method: str, route: str, status: int, seconds: float) -> None:
    known = method if method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} else "other"
    _REQUESTS.labels(known, route, str(status)).observe(seconds)
