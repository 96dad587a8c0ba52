"""Searches that people try in a shop of classics, among their sequels, parodies and boxed sets."""

from __future__ import annotations

import pytest

from catalog_service.domain import words

AUSTEN, DOYLE, VERNE = "Jane Austen", "Arthur Conan Doyle", "Jules Verne"
SHELF = [
    {"title": "Pride and Prejudice", "authors": [AUSTEN], "publisher": "Egerton", "isbn": "9780141439518"},
    {
        "title": "Pride and Prejudice and Werewolves",
        "authors": [AUSTEN, "Ida Fang"],
        "series": {"name": "Pride and Prejudice and Werewolves", "position": 1},
    },
    {"title": "Sense and Sensibility", "authors": [AUSTEN], "publisher": "Egerton"},
    {"title": "A Study in Scarlet", "authors": [DOYLE], "series": {"name": "Sherlock Holmes", "position": 1}},
    {"title": "The Sign of the Four", "authors": [DOYLE], "series": {"name": "Sherlock Holmes", "position": 2}},
    {
        "title": "The Hound of the Baskervilles",
        "authors": [DOYLE],
        "series": {"name": "Sherlock Holmes", "position": 5},
    },
    {"title": "The Wonderful Sherlock Holmes Sketchbook", "authors": ["Nell Pencil"]},
    {"title": "The Lost World", "authors": [DOYLE], "isbn": "0306406152"},
    {"title": "Vingt mille lieues sous les mers", "authors": [VERNE], "language": "fr"},
    {"title": "Around the World in Eighty Days", "authors": [VERNE]},
    {"title": "Jules Verne Boxed Set: Around the World in Eighty Days and Three More Journeys", "authors": [VERNE]},
    {"title": "Wuthering Heights", "authors": ["Emily Brontë"]},
    {"title": "Les Misérables", "authors": ["Victor Hugo"], "language": "fr"},
    {"title": "Die Leiden des jungen Werthers", "authors": ["Johann Wolfgang von Goethe"], "language": "de"},
    {"title": "Frankenstein", "subtitle": "Or, the Modern Prometheus", "authors": ["Mary Shelley"]},
    {"title": "Little Women", "authors": ["Louisa May Alcott"]},
    {"title": "The Time Machine", "authors": ["H. G. Wells"], "publisher": "Heinemann"},
    {"title": "The Turn of the Screw", "authors": ["Henry James"], "publisher": "Heinemann"},
    {"title": "King Solomon's Mines", "authors": ["H. Rider Haggard"]},
    {"title": "Crime and Punishment", "authors": ["Fyodor Dostoyevsky"], "isbn": "9780140449136"},
    {"title": "War and Peace", "authors": ["Leo Tolstoy"]},
]
SEARCHES = [
    ("pride prejudice", "Pride and Prejudice"),
    ("prid and predjudice", "Pride and Prejudice"),
    ("austen sensibility", "Sense and Sensibility"),
    ("austin sense", "Sense and Sensibility"),
    ("978-0-14-044913-6", "Crime and Punishment"),
    ("0-306-40615-2", "The Lost World"),
    ("dostoyev", "Crime and Punishment"),
    ("dostoevsky crime", "Crime and Punishment"),
    ("sherlock holmes", "A Study in Scarlet"),
    ("the hound of baskervilles", "The Hound of the Baskervilles"),
    ("hound baskerville", "The Hound of the Baskervilles"),
    ("wuthering hieghts", "Wuthering Heights"),
    ("emily bronte", "Wuthering Heights"),
    ("les miserables", "Les Misérables"),
    ("vingt mille lieue", "Vingt mille lieues sous les mers"),
    ("verne eighty days", "Around the World in Eighty Days"),
    ("around the wor", "Around the World in Eighty Days"),
    ("leiden junger werther", "Die Leiden des jungen Werthers"),
    ("modern prometheus", "Frankenstein"),
    ("king solomons mine", "King Solomon's Mines"),
    ("heinemann time machine", "The Time Machine"),
    ("hg wells", "The Time Machine"),
    ("tolstoi war peace", "War and Peace"),
    ("litle wimen", "Little Women"),
]


@pytest.fixture
def shelf(add_book, database):
    for book in SHELF:
        add_book(**{"language": "en", **book})
    words.learn_all(database)


def test_the_book_that_is_meant_comes_first(client, shelf):
    wrong = {}
    for q, expected in SEARCHES:
        found = [book["title"] for book in client.get("/api/v1/books", query_string={"q": q}).json["items"]]
        if found[:1] != [expected]:
            wrong[q] = found[:3]
    assert not wrong
