"""Summaries: by providers that a stand-in plays over HTTP, and without one; the source is always told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from catalog_service.domain.extracts import MAX_LENGTH, extract
from catalog_service.summaries import open_provider
from catalog_service.summaries.writing import Summariser
from tests.support.serving import serving
from tests.support.waiting import eventually

WHALE = (
    "Captain Ahab hunts the white whale across the oceans. The weather is often bad. "
    "Mr. Starbuck, the first mate, doubts that the hunt for the whale is wise. There is tea. "
    "In the end the white whale destroys the ship, and Ahab with it. Only Ishmael lives."
)


class Writer(ThreadingHTTPServer):
    """Speaks as much of both providers' HTTP as a summary needs."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.says: str | None = "A hunt for a whale."
        self.status = 200
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.go_on = threading.Event()
        self.go_on.set()

    def document(self, path: str) -> dict[str, Any]:
        if path.endswith("/v2/chat"):
            message = {"role": "assistant", "content": [{"type": "text", "text": self.says}]}
            return {"id": "1", "finish_reason": "COMPLETE", "message": message}
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": self.says}}
        return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


class _Handler(BaseHTTPRequestHandler):
    server: Writer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body | {"key": self.headers["Authorization"]}))
        self.server.go_on.wait(10)
        answer = json.dumps(self.server.document(self.path)).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def writer() -> Iterator[Writer]:
    with serving(Writer()) as server:
        yield server
        server.go_on.set()


@pytest.fixture
def use(app, config, writer):
    """Has the application ask this provider."""

    def choose(provider="openai", **changes):
        base = f"http://127.0.0.1:{writer.server_address[1]}" + ("/v1" if provider == "openai" else "")
        wanted = {"summary_provider": provider, "summary_api_key": "a-key", "summary_base_url": base, **changes}
        settings = replace(config, **wanted)
        app.extensions["summariser"] = Summariser(settings, open_provider(settings))

    return choose


@pytest.fixture
def summary(app):
    def get(book, **kwargs):
        answer = app.test_client().get(f"/api/v1/books/{book['id']}/summary", **kwargs)
        assert answer.status_code == 200, answer.json
        return answer.json

    return get


def test_without_a_key_it_is_an_extract_that_says_so(add_book, summary, use, writer):
    use(summary_api_key="")
    found = summary(add_book("Moby-Dick", description=WHALE))
    assert found["source"] == "extractive"
    assert found["generated_at"]
    assert found["summary"].startswith("Captain Ahab hunts the white whale")
    assert "There is tea." not in found["summary"]
    assert writer.asked == []


def test_it_is_found_by_isbn_as_the_book_is(client, admin, add_book, summary, use):
    use(summary_api_key="")
    book = add_book("Moby-Dick", description=WHALE, isbn="9780141439518")
    assert summary({"id": "0-14-143951-3"}) == summary(book)
    client.delete(f"/api/v1/books/{book['id']}", headers=admin)
    for reference in (book["id"], book["isbn"], "9780141439587", "no-book"):
        assert client.get(f"/api/v1/books/{reference}/summary").status_code == 404


def test_an_extract_is_kept_until_the_text_changes(client, admin, add_book, summary, use):
    use(summary_api_key="")
    book = add_book("Moby-Dick", description=WHALE)
    first = summary(book)
    assert summary(book) == first
    client.patch(f"/api/v1/books/{book['id']}", json={"price": "1.00"}, headers=admin)
    assert summary(book) == first
    client.patch(f"/api/v1/books/{book['id']}", json={"description": "A ship. A storm."}, headers=admin)
    second = summary(book)
    assert (second["summary"], second["source"]) == ("A ship. A storm.", "extractive")
    assert second["generated_at"] > first["generated_at"]
    assert summary(book) == second


def test_an_extract_gives_way_to_a_provider_and_stays_while_that_fails(add_book, summary, use, writer):
    use(summary_api_key="")
    book = add_book("Moby-Dick", description=WHALE)
    extract = summary(book)
    use()
    writer.status = 500
    assert [summary(book), summary(book)] == [extract, extract]
    assert len(writer.asked) == 1
    other = add_book("Emma", description=WHALE)
    writer.status = 200
    assert summary(other)["source"].startswith("openai:")
    use(summary_api_key="")
    assert summary(other)["source"].startswith("openai:")


def test_an_extract_that_was_kept_is_written_anew_by_a_provider(add_book, summary, use):
    use(summary_api_key="")
    book = add_book("Moby-Dick", description=WHALE)
    assert summary(book)["source"] == "extractive"
    use()
    assert summary(book)["source"].startswith("openai:")


def test_without_a_description_there_is_nothing_to_say(add_book, summary, use, writer):
    use()
    assert summary(add_book()) == {"summary": None, "source": "none", "generated_at": None}
    assert writer.asked == []


@pytest.mark.parametrize(("provider", "path"), [("openai", "/v1/chat/completions"), ("cohere", "/v2/chat")])
def test_a_provider_is_asked_once(add_book, summary, use, writer, provider, path):
    use(provider, summary_model="small")
    book = add_book("Moby-Dick", description=WHALE)
    first = summary(book)
    assert (first["summary"], first["source"]) == ("A hunt for a whale.", f"{provider}:small")
    assert summary(book) == first
    ((asked, body),) = writer.asked
    assert (asked, body["model"], body["key"]) == (path, "small", "Bearer a-key")
    assert body["messages"][-1]["content"] == f"Title: Moby-Dick\n\nDescription:\n{WHALE}"


def test_a_changed_text_is_summarised_anew(client, admin, add_book, summary, use, writer):
    use()
    book = add_book("Moby-Dick", description=WHALE)
    summary(book)
    client.patch(f"/api/v1/books/{book['id']}", json={"price": "1.00"}, headers=admin)
    summary(book)
    assert len(writer.asked) == 1
    client.patch(f"/api/v1/books/{book['id']}", json={"description": "A whale. A ship."}, headers=admin)
    writer.says = "Another one."
    assert summary(book)["summary"] == "Another one."


@pytest.mark.parametrize("provider", ["openai", "cohere"])
@pytest.mark.parametrize(("status", "says"), [(500, "x"), (429, "x"), (200, ""), (200, None), (200, "long " * 1000)])
def test_a_provider_that_fails_is_left_alone_for_a_while(add_book, summary, use, writer, provider, status, says):
    use(provider)
    writer.status, writer.says = status, says
    book = add_book("Moby-Dick", description=WHALE)
    assert {summary(book)["source"] for _ in range(3)} == {"extractive"}
    assert len(writer.asked) == 1


@pytest.mark.parametrize("provider", ["openai", "cohere"])
def test_a_provider_that_is_too_slow_or_absent_holds_nobody_up(add_book, summary, use, writer, provider):
    writer.go_on.clear()
    use(provider, summary_timeout=0.2)
    assert summary(add_book("Moby-Dick", description=WHALE))["source"] == "extractive"
    use(provider, summary_base_url="http://127.0.0.1:1")
    assert summary(add_book("Emma", description=WHALE))["source"] == "extractive"


def test_many_at_once_cause_one_call_and_hold_no_connection(app, add_book, summary, use, writer, database):
    use()
    writer.go_on.clear()
    book, other = add_book("Moby-Dick", description=WHALE), add_book("Emma", description=WHALE)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(summary, book)
        eventually(lambda: writer.asked)
        assert database.engine.pool.checkedout() == 0
        assert {summary(each)["source"] for each in (book, book, other)} == {"extractive"}
        writer.go_on.set()
        assert first.result()["source"].startswith("openai:")
    assert len(writer.asked) == 1


def test_another_process_does_not_ask_for_the_same_book(app, config, database, add_book, summary, use, writer):
    use()
    writer.go_on.clear()
    book = add_book("Moby-Dick", description=WHALE)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(summary, book)
        eventually(lambda: writer.asked)
        use()
        assert summary(book)["source"] == "extractive"
        writer.go_on.set()
        first.result()
    assert len(writer.asked) == 1


def test_a_minute_has_so_many_calls(add_book, summary, use, writer):
    use(summary_calls_per_minute=0)
    book = add_book("Moby-Dick", description=WHALE)
    assert summary(book)["source"] == "extractive"
    use(summary_calls_per_minute=1)
    sources = [summary(each)["source"] for each in (book, add_book("Emma", description=WHALE))]
    assert len(writer.asked) == 1 or sources[1] != "extractive"  # a new minute may have begun in between
    assert sources[0] != "extractive"


def test_a_book_off_sale_has_a_summary_for_the_staff_only(client, admin, add_book, summary):
    book = add_book("Moby-Dick", description=WHALE)
    client.delete(f"/api/v1/books/{book['id']}", headers=admin)
    assert client.get(f"/api/v1/books/{book['id']}/summary").status_code == 404
    assert summary(book, headers=admin)["source"] == "extractive"


@pytest.mark.parametrize(
    "text",
    [
        "One.",
        "No full stop",
        "x" * 5000,
        "word " * 4000,
        "吾輩は猫である。名前はまだ無い。どこで生れたか見当がつかぬ。何でも薄暗い所で泣いていた。",
        "Erster Satz über Züge. Zweiter Satz! Dritter Satz? Vierter Satz über Züge.",
        "...!?!",
    ],
)
def test_an_extract_is_part_of_the_text_and_short(text):
    found = extract("Title", text)
    assert 0 < len(found) <= MAX_LENGTH
    assert found.rstrip("…").replace(" ", "")[:20] in text.replace(" ", "")


def test_an_extract_does_not_say_the_same_twice():
    text = "The whale swims far away. The whale swims far away! The sea is deep. A ship sinks. Nobody knows why."
    assert extract("Whale", text).count("whale swims") == 1
