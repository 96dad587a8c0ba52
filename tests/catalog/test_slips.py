"""Slips of the finger, of the ear and of the space bar: the book that is meant is found all the same."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from catalog_service.domain import words

SHELF = {
    "The Alchemist": ["Paulo Coelho"],
    "The Girl on the Train": ["Paula Hawkins"],
    "The Shining": ["Stephen King"],
    "A Brief History of Time": ["Stephen Hawking"],
    "The Grapes of Wrath": ["John Steinbeck"],
    "Into the Wild": ["Jon Krakauer"],
    "The Wild Muir": ["John Muir"],
    "Mockingjay": ["Suzanne Collins"],
    "Catching Fire": ["Suzanne Collins"],
    "The Hunger Games": ["Suzanne Collins"],
    "The Woman in White": ["Wilkie Collins"],
    "The Woman in Black": ["Susan Hill"],
    "To Kill a Mockingbird": ["Harper Lee"],
    "Lord of the Flies": ["William Golding"],
    "Lord Foul's Bane": ["Stephen R. Donaldson"],
    "The Lords of the North": ["Bernard Cornwell"],
    "The Great Gatsby": ["F. Scott Fitzgerald"],
    "The Lost Gate": ["Orson Scott Card"],
    "Raven's Gate": ["Anthony Horowitz"],
    "Slaughterhouse-Five": ["Kurt Vonnegut"],
    "Animal Farm": ["George Orwell"],
    "The Hobbit": ["J. R. R. Tolkien"],
    "For Elantris": ["Ann Afterwards"],
}
SEARCHES = [
    ("paulo coehlo", "The Alchemist"),
    ("stephen kng", "The Shining"),
    ("stephen knig", "The Shining"),
    ("jon steinbeck", "The Grapes of Wrath"),
    ("suzan collins mockingjay", "Mockingjay"),
    ("mocking jay", "Mockingjay"),
    ("to kill a mocking bird", "To Kill a Mockingbird"),
    ("lord of the flys", "Lord of the Flies"),
    ("the grate gatsby", "The Great Gatsby"),
    ("slaughter house five", "Slaughterhouse-Five"),
    ("hungergames", "The Hunger Games"),
    ("thehobbit tolkien", "The Hobbit"),
    ("animal frm", "Animal Farm"),
    ("hobbit xyzzy", "The Hobbit"),
]
NOTHING = ["xyzzy plugh", "mocking -jay", '"mocking jay"', "the xyzzy", "kng"]
SHORT = st.text("abcdeæж", min_size=3, max_size=6)


@pytest.fixture
def found(client, add_book, database):
    for title, authors in SHELF.items():
        add_book(title, authors=authors, language="en")
    add_book("Elantris", authors=["Brandon Sanderson"], publisher="Tor", language="en")
    words.learn_all(database)
    return lambda q: [book["title"] for book in client.get("/api/v1/books", query_string={"q": q}).json["items"]]


def test_one_slip_hides_no_book(found):
    assert [(q, found(q)[:1]) for q, _ in SEARCHES] == [(q, [title]) for q, title in SEARCHES]
    collins = {"Mockingjay", "Catching Fire", "The Hunger Games"}
    assert set(found("suzan collins")) == collins
    assert [(q, found(q)) for q in NOTHING] == [(q, []) for q in NOTHING[:-1]] + [("kng", ["The Shining"])]


def test_what_is_found_as_it_was_typed_is_not_corrected(found):
    assert found("jon wild") == ["Into the Wild"]
    assert found("tor elantris") == ["Elantris"]


def swapped(word: str, at: int) -> str:
    return word[:at] + word[at + 1 : at + 2] + word[at : at + 1] + word[at + 2 :]


@given(SHORT, st.integers(0, 6), st.sampled_from("abcxæж"))
@example("coelho", 2, "x")
def test_every_slip_of_a_short_word_is_looked_up(word, at, letter):
    slips = {
        word[:at] + word[at + 1 :],
        swapped(word, at),
        word[:at] + letter + word[at:],
        word[:at] + letter + word[at + 1 :],
    }
    for slip in slips - {word}:
        assert words.distance(slip, word) == 1
        if set(word) <= set(slip) | set("abcde"):
            assert word in words._variants(slip)
