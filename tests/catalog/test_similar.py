"""Books like a book and like a text: learnt from a small shelf, told what they rest on, and never with what is gone."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text, update

from catalog_service.commands import train_similar
from catalog_service.config import CatalogConfig
from catalog_service.domain import merging
from catalog_service.models import Author, Book
from catalog_service.similarity import nearest, refreshing
from catalog_service.similarity.training import train
from common.db import utcnow
from common.health import Draining
from tests.catalog.test_commands import invoke  # noqa: F401 - a fixture
from tests.support.database import environment

SHELF = {
    "wizards": [
        ("The Young Wizard", "Ann Hill", "A boy learns magic at a school for wizards, and fights a dark sorcerer."),
        ("A School of Spells", "Bo Dale", "Young witches learn magic at school, and fight a sorcerer with spells."),
        ("The Sorcerer's Staff", "Cy Moss", "An old wizard must learn dark magic to fight a sorcerer for his staff."),
    ],
    "bakers": [
        ("Bread at Home", "Dee Flour", "Sourdough, rye and yeast: recipes for baking bread in an oven at home."),
        ("The Baker's Oven", "Eli Crumb", "Recipes for baking bread: a baker explains dough, yeast and the oven."),
        ("Cakes and Loaves", "Flo Butter", "Recipes for baking cakes and bread: dough, yeast and a hot oven."),
    ],
    "stars": [
        ("Orbits", "Gus Ray", "How planets and moons move around stars: gravity and orbits explained."),
        ("A Map of the Stars", "Hal Beam", "Find planets, moons, stars and galaxies in the night sky."),
    ],
}


@pytest.fixture
def shelf(add_book):
    """The titles and the books they name."""
    return {
        title: add_book(title, authors=[author], description=about)
        for books in SHELF.values()
        for title, author, about in books
    }


@pytest.fixture
def learn(database):
    return lambda: train(database, sample=1000)


def read(answer):
    assert answer.status_code == 200, answer.json
    return answer.json["basis"], [each["title"] for each in answer.json["items"]]


@pytest.fixture
def like(client):
    return lambda book, **query: read(client.get(f"/api/v1/books/{book['id']}/similar", query_string=query))


@pytest.fixture
def find_like(client):
    return lambda q, **query: read(client.get("/api/v1/books/like", query_string={"q": q, **query}))


def titles(kind):
    return {title for title, *_ in SHELF[kind]}


@pytest.mark.parametrize("kind", SHELF)
def test_the_nearest_are_of_the_same_kind(shelf, learn, like, kind):
    assert learn().books == len(shelf)
    for title in titles(kind):
        basis, found = like(shelf[title])
        assert basis == "text"
        assert set(found[: len(SHELF[kind]) - 1]) == titles(kind) - {title}


def test_a_book_is_named_by_its_isbn_as_well(add_book, shelf, learn, client):
    add_book("Wizards of the Dark", isbn="978-0-14-143958-7", description=SHELF["wizards"][0][2])
    learn()
    assert read(client.get("/api/v1/books/9780141439587/similar?limit=1")) == ("text", ["The Young Wizard"])


def test_learning_again_finds_the_same(shelf, learn, database):
    def neighbours():
        with database.read() as session:
            return session.execute(text("SELECT book_id, neighbours, terms FROM similar_books ORDER BY book_id")).all()

    learn()
    first = neighbours()
    learn()
    assert neighbours() == first


def test_among_many_books_those_around_are_still_found(shelf, learn, like, monkeypatch):
    """The way that is taken where comparing all with all would cost too much."""
    for name, value in {"ALL_WITH_ALL": 4, "CELL": 4, "CELLS_AROUND": 1}.items():
        monkeypatch.setattr(nearest, name, value)
    learn()
    for title in titles("bakers"):
        assert set(like(shelf[title])[1][:2]) == titles("bakers") - {title}


def test_books_of_one_author_meet_wherever_they_lie(add_book, learn, like, monkeypatch):
    for name, value in {"ALL_WITH_ALL": 1, "CELL": 1, "CELLS_AROUND": 0}.items():
        monkeypatch.setattr(nearest, name, value)
    one = add_book("Gardens", authors=["Ann Hill"], series={"name": "Hours"})
    add_book("Battleships", authors=["Ann Hill"])
    add_book("Violins", authors=["Bo Dale"], series={"name": "hours"})
    add_book("Molluscs", authors=["Cy Moss"])
    learn()
    basis, found = like(one)
    assert (basis, sorted(found)) == ("text", ["Battleships", "Violins"])


def test_what_is_off_sale_is_no_neighbour(shelf, learn, like, find_like, client, admin):
    learn()
    client.delete(f"/api/v1/books/{shelf['Orbits']['id']}", headers=admin)
    assert "Orbits" not in like(shelf["A Map of the Stars"])[1]
    assert "Orbits" not in find_like("planets and moons")[1]
    assert client.get(f"/api/v1/books/{shelf['Orbits']['id']}/similar").status_code == 404
    assert learn().books == len(shelf) - 1
    assert client.get(f"/api/v1/books/{shelf['Orbits']['id']}/similar", headers=admin).json["basis"] == "none"


def test_another_format_of_the_same_book_is_not_like_it(add_book, shelf, learn, like):
    title, author, about = SHELF["bakers"][0]
    add_book(title, authors=[author], description=about, format="ebook")
    learn()
    assert title not in like(shelf[title])[1]
    assert like(shelf["The Baker's Oven"])[1].count(title) == 1


def test_a_merged_author_leads_to_the_same_books(shelf, learn, like, database):
    learn()
    with database.transaction() as session:
        ids = [session.query(Author.id).filter(Author.name == name).scalar() for name in ("Ann Hill", "Bo Dale")]
        merging.merge(session, Author, ids[0], [ids[1]])
    assert set(like(shelf["The Young Wizard"])[1][:2]) == titles("wizards") - {"The Young Wizard"}
    learn()
    assert like(shelf["The Young Wizard"])[1][0] == "A School of Spells"


def test_a_book_that_was_not_learnt_yet_is_answered_by_what_it_shares(add_book, shelf, learn, like, client, admin):
    genre = client.post("/api/v1/genres", json={"name": "Magic"}, headers=admin).json["id"]
    learn()
    alone = add_book("Zz", authors=["Nobody"])
    assert like(alone) == ("none", [])
    shelved = add_book("Yy", genre_ids=[genre])
    client.patch(f"/api/v1/books/{shelf['Orbits']['id']}", json={"genre_ids": [genre]}, headers=admin)
    assert like(shelved) == ("same_genre", ["Orbits"])
    written = add_book("Xx", authors=["Ann Hill"], genre_ids=[genre])
    assert like(written) == ("same_author", ["The Young Wizard"])
    second = add_book("Second", authors=["Ann Hill"], series={"name": "Hours", "position": 2})
    add_book("Third", series={"name": "HOURS", "position": 3})
    assert like(second) == ("same_series", ["Third"])


@pytest.mark.parametrize("q", ["a boy at a school of magic", "sorcerers and spells", "like The Young Wizard"])
def test_a_text_finds_what_is_written_of_the_same(shelf, learn, find_like, q):
    learn()
    basis, found = find_like(q, limit=3)
    assert (basis, set(found)) == ("text", titles("wizards"))


def test_a_text_of_rare_words_brings_what_is_like_its_book(shelf, learn, find_like):
    learn()
    basis, found = find_like("sourdough and rye")
    assert (basis, found[0], set(found)) == ("text", "Bread at Home", titles("bakers"))


def test_words_that_were_not_learnt_are_searched_for(shelf, learn, find_like, add_book):
    assert find_like("the young wizard") == ("search", ["The Young Wizard"])
    learn()
    add_book("Molluscs")
    assert find_like("molluscs") == ("search", ["Molluscs"])
    assert find_like("xylophones") == ("none", [])


@pytest.mark.parametrize("q", ["'", '"', "-", "a & b | !", "(((", "%_\\", "the of and", "日本", "@author:", "é" * 500])
def test_any_text_is_answered(shelf, learn, find_like, q):
    learn()
    assert find_like(q)[0] in ("text", "search", "none")


@pytest.mark.parametrize("query", ["", "q=", "q=%20", "q=a&limit=0", "q=a&limit=21", "q=a%00b", "q=" + "a" * 501])
def test_what_cannot_be_asked_is_refused(client, query):
    assert client.get(f"/api/v1/books/like?{query}").status_code in (400, 422)


def test_an_unknown_book_is_not_found(client):
    for reference in ("nonsense", "9780141439587", "00000000-0000-0000-0000-000000000000"):
        assert client.get(f"/api/v1/books/{reference}/similar").status_code == 404


def test_staff_see_of_a_neighbour_what_they_see_of_a_book(shelf, learn, client, admin):
    learn()
    path = f"/api/v1/books/{shelf['Orbits']['id']}/similar"
    assert "on_hand" in client.get(path, headers=admin).json["items"][0]
    assert "on_hand" not in client.get(path).json["items"][0]


@pytest.mark.parametrize("given", [[], [{"title": "The"}], [{"title": "Emma"}], [{"title": "The"}, {"title": "Of"}]])
def test_a_catalogue_without_anything_to_learn_is_no_mistake(app, add_book, learn, like, given):
    added = [add_book(**fields) for fields in given]
    assert learn().with_neighbours == 0
    assert all(like(book) == ("none", []) for book in added)


def test_only_one_learns_at_a_time(shelf, learn, database):
    with database.read() as session:
        lock = "hashtext(current_schema() || '.train-similar')"
        session.execute(text(f"SELECT pg_advisory_lock({lock})"))
        assert learn() is None
        session.execute(text(f"SELECT pg_advisory_unlock({lock})"))
    assert learn().books == len(shelf)


def test_a_sample_is_enough_to_place_all(shelf, database):
    assert train(database, sample=4).books == len(shelf)


def written_ago(database, **ago):
    with database.transaction() as session:
        session.execute(update(Book).values(updated_at=utcnow() - timedelta(**ago)))


def is_due(database):
    with database.read() as session:
        return refreshing.is_due(session)


def test_the_catalogue_is_learnt_when_enough_has_changed_and_nobody_writes(shelf, learn, database, add_book):
    assert not is_due(database), "an import may be under way"
    written_ago(database, minutes=2)
    assert is_due(database)
    learn()
    assert not is_due(database), "nothing has changed"
    add_book("Another")
    assert not is_due(database), "somebody writes"
    with database.transaction() as session:
        session.execute(text("UPDATE similar_training SET trained_at = trained_at - interval '2 hours'"))
    assert is_due(database), "somebody writes all the time"
    with database.transaction() as session:
        session.execute(text("UPDATE similar_training SET books = 1000"))
    assert not is_due(database), "one of a thousand"
    with database.transaction() as session:
        session.execute(text("UPDATE similar_training SET trained_at = trained_at - interval '1 day'"))
    assert is_due(database), "one of a thousand, since yesterday"


@pytest.fixture
def as_worker(admin_database_url, monkeypatch):
    """The environment that the worker's process has, and that which it starts."""
    for name, value in environment(admin_database_url, CatalogConfig.schema).items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("as_worker")
def test_the_worker_learns_in_a_process_of_its_own(shelf, like, database, config):
    written_ago(database, minutes=2)
    refreshing.refresh(database, config)
    assert like(shelf["Orbits"]) == ("text", ["A Map of the Stars"])


@pytest.mark.usefixtures("as_worker")
def test_a_worker_that_is_to_end_does_not_wait_for_it(shelf, database, config, monkeypatch):
    written_ago(database, minutes=2)
    monkeypatch.setattr(Draining.begun, "wait", lambda _seconds: True)
    refreshing.refresh(database, config)
    assert is_due(database)


def test_the_command_says_what_it_has_learnt(invoke, shelf):  # noqa: F811
    assert f"{len(shelf)} books, {len(shelf)} of them with books like them" in invoke(train_similar).output


def test_web_and_worker_do_without_what_learns():
    code = "import sys, catalog_service.app, catalog_service.events, catalog_service.timers; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"sklearn", "scipy", "numpy"} & set(loaded)


def test_a_training_that_fails_is_tried_again_later(shelf, database, config, monkeypatch):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setattr(refreshing, "RETRY_SECONDS", 0.0)
    written_ago(database, minutes=2)
    refreshing.refresh(database, config)
    assert is_due(database)


def test_a_worker_may_be_told_to_leave_it(shelf, database, config):
    written_ago(database, minutes=2)
    refreshing.refresh(database, replace(config, similar_training=False))
    assert is_due(database)
