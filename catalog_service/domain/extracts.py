"""Summaries without anybody's help: the sentences of a text that say most of what it is about, word for word.

A sentence counts by its words: those that come back in the text, and those of the title, unless nearly every sentence
has them, as it has the small words of any language. Nothing here knows a language.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

SENTENCES = 3
MAX_LENGTH = 600
LIKE_ANOTHER = 0.6
EVERYWHERE = 0.5
FEW_WORDS, MANY_WORDS = 4, 60

# After a full stop only where a new sentence seems to begin: not after an initial or a short title such as "Mr.".
_END = re.compile(
    r"(?<=[.!?…])(?<!\b\w\.)(?<!\b[A-Z]\w\.)(?<!\b[A-Z]\w\w\.)([\"'”’»)\]]*)\s+(?=[\"'“‘«(\[¿¡—-]*[^\W_a-z])"  # noqa: RUF001
    r"|(?<=[。！？।؟])\s*|\n{2,}"  # noqa: RUF001
)
_WORD = re.compile(r"\w+")


def extract(title: str, text: str) -> str:
    """Two or three sentences of `text`, in its order; all of it when it has no more. Never empty for a text."""
    sentences = _sentences(text)
    chosen = _choose(sentences, _scores(title, sentences)) if len(sentences) > SENTENCES else range(len(sentences))
    return _shortened(" ".join(sentences[index] for index in chosen))


def _sentences(text: str) -> list[str]:
    starts, ends = [0], []
    for end in _END.finditer(text):
        ends.append(end.end(1) if end.group(1) else end.start())  # a closing quotation mark belongs to its sentence
        starts.append(end.end())
    parts = (" ".join(text[start:end].split()) for start, end in zip(starts, [*ends, len(text)], strict=True))
    return [part for part in parts if part]


def _words(sentence: str) -> list[str]:
    return _WORD.findall(sentence.casefold())


def _scores(title: str, sentences: Sequence[str]) -> list[float]:
    words = [set(_words(sentence)) for sentence in sentences]
    spread = Counter(word for each in words for word in each)
    counts = Counter(word for sentence in sentences for word in _words(sentence))
    titled = set(_words(title))
    weights = {
        word: math.log1p(counts[word]) * (2 if word in titled else 1)
        for word in counts
        if spread[word] <= max(1, EVERYWHERE * len(sentences))
    }
    return [_score(index, each, weights) for index, each in enumerate(words)]


def _score(index: int, words: set[str], weights: dict[str, float]) -> float:
    """By the weight of a sentence's words, whatever its length; the first one usually says what it is about."""
    whole = sum(weights.get(word, 0.0) for word in words) / math.sqrt(len(words) + 4)
    fits = 1.0 if FEW_WORDS <= len(words) <= MANY_WORDS else 0.5
    return whole * fits * (1.5 if index == 0 else 1.0)


def _choose(sentences: Sequence[str], scores: Sequence[float]) -> list[int]:
    """The best ones that fit together, no two of which say the same."""
    chosen: list[int] = []
    for index in sorted(range(len(sentences)), key=lambda each: (-scores[each], each)):
        length = sum(len(sentences[each]) + 1 for each in chosen)
        if chosen and length + len(sentences[index]) > MAX_LENGTH:
            continue
        if not any(_alike(sentences[index], sentences[each]) for each in chosen):
            chosen.append(index)
        if len(chosen) == SENTENCES:
            break
    return sorted(chosen)


def _alike(one: str, other: str) -> bool:
    left, right = set(_words(one)), set(_words(other))
    return len(left & right) > LIKE_ANOTHER * len(left | right)


def _shortened(text: str) -> str:
    """Cut between words, and saying so, when even that is too long."""
    if len(text) <= MAX_LENGTH:
        return text
    cut = text[: MAX_LENGTH - 1]
    return (cut.rpartition(" ")[0] or cut) + "…"
