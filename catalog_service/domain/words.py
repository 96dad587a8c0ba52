"""The dictionary of the search: other forms of a word that is asked for, and what a misspelt one may have meant.

Only the dictionary is ever compared letter by letter, never the books.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import compress, pairwise
from string import ascii_lowercase
from typing import Any

from sqlalchemy import Text, cast, func, select, text
from sqlalchemy.orm import Session

from catalog_service.models import SearchWord
from common.db import Database

BATCH = 2_000
MOST_FORMS = 12
MOST_CORRECTIONS = 3
MOST_GUESSES = 20
MOST_GUESSED_FROM = 500
MOST_SAME_START = 2_000
SHORTEST_CORRECTED = 4
SHORTEST_GUESSED = 3
LONGEST_CORRECTED = 40
LONGEST_VARIED = 6  # of a longer word, one slip leaves enough trigrams for `%`
MOST_CORRECTED = 6
SHORTEST_PART = 2
MOST_SPLITS = 3
FEWEST_LOOSENED = 3
SHORTEST_TELLING = 4
_LEXEME = re.compile(r"(!?)'((?:[^']|'')*)'(:\*)?")
_STEMMED = [
    "danish",
    "dutch",
    "english",
    "finnish",
    "french",
    "german",
    "hungarian",
    "italian",
    "norwegian",
    "portuguese",
    "romanian",
    "russian",
    "spanish",
    "swedish",
    "turkish",
]

_LEARN = text("""
WITH taken AS (
    DELETE FROM word_queue WHERE id IN (SELECT id FROM word_queue ORDER BY id LIMIT :batch FOR UPDATE SKIP LOCKED)
    RETURNING book_id
), known AS (
    SELECT DISTINCT books.id, CASE language
        WHEN 'da' THEN 'danish' WHEN 'nl' THEN 'dutch' WHEN 'fi' THEN 'finnish' WHEN 'fr' THEN 'french'
        WHEN 'de' THEN 'german' WHEN 'hu' THEN 'hungarian' WHEN 'it' THEN 'italian' WHEN 'no' THEN 'norwegian'
        WHEN 'pt' THEN 'portuguese' WHEN 'ro' THEN 'romanian' WHEN 'ru' THEN 'russian' WHEN 'es' THEN 'spanish'
        WHEN 'sv' THEN 'swedish' WHEN 'tr' THEN 'turkish' ELSE 'english' END AS language,
        tsvector_to_array(to_tsvector('simple', search_text(
            title || ' ' || author_names || ' ' || COALESCE(series_name, '')))) AS words
    FROM taken JOIN books ON books.id = taken.book_id
), counted AS (
    SELECT word, language, count(*) AS frequency FROM known, unnest(words) AS word
    WHERE length(word) <= 60 GROUP BY word, language
), learnt AS (
    INSERT INTO search_words (word, language, stem, frequency)
    SELECT word, language, COALESCE((ts_lexize((language || '_stem')::regdictionary, word))[1], word), frequency
    FROM counted ORDER BY word, language
    ON CONFLICT (word, language) DO UPDATE SET frequency = search_words.frequency + EXCLUDED.frequency
)
SELECT count(*) FROM taken
""")

_FORMS = text("""
SELECT asked.word AS asked, known.word, sum(known.frequency) AS frequency
FROM unnest(CAST(:words AS text[])) AS asked(word), unnest(CAST(:languages AS text[])) AS spoken(language),
    LATERAL (SELECT COALESCE(
        (ts_lexize((spoken.language || '_stem')::regdictionary, asked.word))[1], asked.word) AS stem) AS stemmed,
    LATERAL (SELECT word, frequency FROM search_words
        WHERE stem = stemmed.stem AND language = spoken.language ORDER BY frequency DESC LIMIT 12) AS known
GROUP BY asked.word, known.word ORDER BY frequency DESC
""")

_SIMILAR = text("""
SELECT word, sum(frequency) AS frequency FROM search_words
WHERE word % :word AND length(word) BETWEEN :shortest AND :longest
GROUP BY word ORDER BY similarity(word, :word) DESC LIMIT 50
""")

_SAME_START = text("""
SELECT word, sum(frequency) AS frequency FROM search_words
WHERE word LIKE :start AND length(word) BETWEEN :shortest AND :longest
GROUP BY word ORDER BY frequency DESC LIMIT :most
""")

_KNOWN = text("""
SELECT word, sum(frequency) AS frequency
FROM unnest(CAST(:words AS text[])) AS wanted(word) JOIN search_words USING (word)
GROUP BY word
""")


def learn(session: Session) -> int:
    """Learn the words of some books that were written; how many books these were."""
    return session.execute(_LEARN, {"batch": BATCH}).scalar_one()


def learn_all(database: Database, _config: object = None) -> None:
    while True:
        with database.transaction() as session:
            if learn(session) < BATCH:
                return


def understood(session: Session, query: str) -> str:
    """What was typed as the text of a tsquery, wherein each word may also have another form or a better spelling.

    Words of a quoted phrase stay as they are, and so do those that are excluded.
    """
    parsed, lexemes = _parsed(session, query)
    plain = _plain(lexemes)
    if not plain:
        return parsed
    also = _forms(session, plain)
    unfinished = {word for _, word, prefix in lexemes if prefix}
    strange = [word for word in dict.fromkeys(plain) if word not in also and len(word) >= SHORTEST_CORRECTED]
    unknown = [word for word in strange if not _begins(session, word, unfinished)]
    for word in unknown[:MOST_CORRECTED]:
        also[word] = _corrections(session, word)
    return _LEXEME.sub(lambda found: _widened(found, also), parsed)


def loosened(session: Session, query: str) -> Iterator[str]:
    """What else may have been meant, when nothing has all the words, the likeliest first.

    Words that were parted or put together by mistake; more spellings of unknown ones; other spellings of known ones;
    one word less.
    """
    parsed, lexemes = _parsed(session, query)
    plain = _plain(lexemes)
    if not plain:
        return
    also = _forms(session, plain)
    unknown = [word for word in dict.fromkeys(plain) if word not in also][:MOST_CORRECTED]
    are_joined = len(plain) == len(lexemes) <= MOST_FORMS and "|" not in _LEXEME.sub("", parsed)
    if are_joined and (spaced := _spaced(session, lexemes, unknown, also)):
        yield _any(spaced)
    if unknown:
        guessed = also | {word: _guesses(session, word) for word in unknown}
        yield _LEXEME.sub(lambda found: _widened(found, guessed), parsed)
    for word in plain[:MOST_CORRECTED]:
        also[word] = also.get(word, []) + _corrections(session, word)
    yield _LEXEME.sub(lambda found: _widened(found, also), parsed)
    if are_joined and len(plain) >= 2:
        yield from _one_less(lexemes, also, unknown)


def _spaced(
    session: Session, lexemes: list[tuple[str, str, str]], unknown: list[str], also: dict[str, list[str]]
) -> list[list[str]]:
    """The query with two neighbours as one word, or with an unknown word as two, where such are known."""
    typed = [word for _, word, _ in lexemes]
    pairs = [one + other for one, other in pairwise(typed)]
    cuts = {word: _cuts(word) for word in unknown}
    known = _known(session, [*pairs, *(part for each in cuts.values() for cut in each for part in cut)])
    each = [_widened_word("", word, prefix, also) for _, word, prefix in lexemes]
    found = [
        [*each[:at], f"'{pair}'{lexemes[at + 1][2]}", *each[at + 2 :]] for at, pair in enumerate(pairs) if pair in known
    ]
    for at, word in enumerate(typed):
        whole = [cut for cut in cuts.get(word, []) if known.keys() >= set(cut)]
        whole.sort(key=lambda cut: -min(known[part] for part in cut))
        found += [[*each[:at], f"('{one}' <-> '{other}')", *each[at + 1 :]] for one, other in whole[:MOST_SPLITS]]
    return found


def _cuts(word: str) -> list[tuple[str, str]]:
    longest = word[:LONGEST_CORRECTED]
    return [(word[:at], word[at:]) for at in range(SHORTEST_PART, len(longest) - SHORTEST_PART + 1)]


def _one_less(lexemes: list[tuple[str, str, str]], also: dict[str, list[str]], unknown: list[str]) -> Iterator[str]:
    """All words but any one; of two words a telling one that is known."""
    each = [_widened_word("", word, prefix, also) for _, word, prefix in lexemes]
    rest = [each[:left] + each[left + 1 :] for left in range(len(each))]
    if len(each) < FEWEST_LOOSENED:
        telling = [len(word) >= SHORTEST_TELLING and word not in unknown for _, word, _ in lexemes]
        rest = [[part] for part in compress(each, telling)]
    if rest:
        yield _any(rest)


def _any(conjunctions: list[list[str]]) -> str:
    return " | ".join(f"({' & '.join(parts)})" for parts in conjunctions)


def _parsed(session: Session, query: str) -> tuple[str, list[tuple[str, str, str]]]:
    """The text of the tsquery, and its words with a "!" before and a ":*" behind them; none of a quoted phrase."""
    parsed: str = session.scalar(select(cast(func.search_query(query), Text))) or ""
    return parsed, [] if "<" in _LEXEME.sub("", parsed) else _LEXEME.findall(parsed)


def _plain(lexemes: list[tuple[str, str, str]]) -> list[str]:
    return [word for negated, word, _ in lexemes if not negated and "'" not in word and "\\" not in word]


def any_of(query: str) -> str:
    """The text of a tsquery that one of the words is enough for: not "the" or "la" where there are longer ones."""
    asked = [(word, prefix) for negated, word, prefix in _LEXEME.findall(query) if not negated]
    telling = [each for each in asked if len(each[0]) >= SHORTEST_TELLING] or asked
    return " | ".join(f"'{word}'{prefix}" for word, prefix in telling)


def _widened(found: re.Match[str], also: dict[str, list[str]]) -> str:
    negated, word, prefix = found.groups()
    return _widened_word(negated, word, prefix, also)


def _widened_word(negated: str, word: str, prefix: str | None, also: dict[str, list[str]]) -> str:
    matched = word if prefix else None
    others = [] if negated else [other for other in also.get(word, []) if not _is(other, word, matched)]
    if not others:
        return f"{negated}'{word}'{prefix or ''}"
    return "(" + " | ".join([f"'{word}'{prefix or ''}", *(f"'{other}'" for other in others)]) + ")"


def _is(other: str, word: str, prefix: str | None) -> bool:
    """Whether the word itself, or what it is the beginning of, matches that already: twice would count as better."""
    return other == word or (prefix is not None and other.startswith(prefix))


def _forms(session: Session, words: list[str]) -> dict[str, list[str]]:
    """The words of the dictionary with the same stem, the most frequent first; none for a word that it lacks."""
    forms: dict[str, list[str]] = {}
    for row in session.execute(_FORMS, {"words": words, "languages": _STEMMED}):
        known = forms.setdefault(row.asked, [])
        if len(known) < MOST_FORMS and "'" not in row.word and "\\" not in row.word and row.word not in known:
            known.append(row.word)
    return forms


def _begins(session: Session, word: str, unfinished: set[str]) -> bool:
    """Whether the word that is still being typed is the beginning of one that is known."""
    starts = SearchWord.word.startswith(word, autoescape=True)
    return word in unfinished and session.scalar(select(SearchWord.word).where(starts).limit(1)) is not None


def _corrections(session: Session, word: str) -> list[str]:
    """Known words that are a slip or two away, the nearest and then the most frequent first."""
    slips = 1 if len(word) < 6 else 2
    return _nearest(word, slips, _alike(session, word, slips))[:MOST_CORRECTIONS]


def _guesses(session: Session, word: str) -> list[str]:
    """More of them, also with two slips in a short word: too many, but for those that fit the other words."""
    slips = 1 if len(word) < SHORTEST_TELLING else 2
    near = _alike(session, word, slips) | _same_start(session, word, slips, most=MOST_GUESSED_FROM)
    return _nearest(word, slips, near)[:MOST_GUESSES]


def _nearest(word: str, slips: int, known: dict[str, int]) -> list[str]:
    """A short word has many neighbours: only those that are more frequent than itself may have been meant."""
    fewest = known.get(word, 0) if len(word) < SHORTEST_CORRECTED else 0
    ranked = sorted((distance(word, other), -known[other], other) for other in known if known[other] > fewest)
    return [other for slip, _, other in ranked if 0 < slip <= slips and "'" not in other]


def _alike(session: Session, word: str, slips: int) -> dict[str, int]:
    """Known words that may be so near, with their frequency."""
    if not _is_correctable(word):
        return {}
    found = _known(session, [word, *_variants(word)]) if len(word) <= LONGEST_VARIED else {}
    if session.scalar(text("SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm'")):
        return found | _frequencies(session, _SIMILAR, _lengths(word, slips) | {"word": word})
    return found | _same_start(session, word, slips, most=MOST_SAME_START)


def _same_start(session: Session, word: str, slips: int, *, most: int) -> dict[str, int]:
    if not _is_correctable(word):
        return {}
    start = word[:2].replace("\\", "").replace("%", "").replace("_", "") + "%"
    return _frequencies(session, _SAME_START, _lengths(word, slips) | {"start": start, "most": most})


def _is_correctable(word: str) -> bool:
    return SHORTEST_GUESSED <= len(word) <= LONGEST_CORRECTED and not any(map(str.isdigit, word))


def _lengths(word: str, slips: int) -> dict[str, Any]:
    return {"shortest": len(word) - slips, "longest": len(word) + slips}


def _known(session: Session, words: Iterable[str]) -> dict[str, int]:
    """Those of the words that are in the dictionary, with their frequency."""
    return _frequencies(session, _KNOWN, {"words": sorted(set(words))})


def _frequencies(session: Session, statement: Any, values: dict[str, Any]) -> dict[str, int]:
    return {row.word: int(row.frequency) for row in session.execute(statement, values)}


def _variants(word: str) -> Iterator[str]:
    """The word with one slip, of Latin letters and its own."""
    letters = sorted(set(ascii_lowercase) | set(word))
    for at in range(len(word) + 1):
        before, after = word[:at], word[at:]
        yield from (before + letter + after for letter in letters)
        if after:
            yield before + after[1:]
            yield from (before + letter + after[1:] for letter in letters)
        if len(after) > 1:
            yield before + after[1] + after[0] + after[2:]


def distance(one: str, other: str) -> int:
    """How many letters were added, dropped, changed, or swapped with the next one."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, its in enumerate(other, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != its))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == its:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]
