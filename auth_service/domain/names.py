"""Usernames that nobody can be taken in by: of one script, unlike the others to the eye, and no web addresses."""

from __future__ import annotations

import unicodedata
from functools import cache

from confusable_homoglyphs import categories
from confusable_homoglyphs.confusables import confusables_data
from publicsuffixlist import PublicSuffixList

OF_NO_SCRIPT = frozenset({"COMMON", "INHERITED"})
WRITTEN_TOGETHER = (
    frozenset({"LATIN", "HAN", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "HAN", "BOPOMOFO"}),
    frozenset({"LATIN", "HAN", "HANGUL"}),
)
"""Scripts that one language mixes: UTS 39 section 5.2, "highly restrictive"."""
_BIDI_MARKS = str.maketrans("", "", "\u200e\u200f")


def problem(username: str) -> str | None:
    scripts = frozenset(categories.unique_aliases(username)) - OF_NO_SCRIPT
    if len(scripts) > 1 and not any(scripts <= each for each in WRITTEN_TOGETHER):
        return "must not mix letters of several scripts"
    if _suffixes().privatesuffix(username.lower()):
        return "must not look like a web address"
    return None


def skeleton(username: str) -> str:
    """What is the same for all names that look the same (UTS 39 section 4), capitals as they are shown."""
    look = _prototypes()
    shown = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", username))
    return "".join(look.get(character, character) for character in shown).casefold()


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList(accept_unknown=False)


@cache
def _prototypes() -> dict[str, str]:
    """The table of confusable characters, of which the library has pairs: one text for each group of them."""
    group: dict[str, str] = {}

    def of(text: str) -> str:
        while (other := group.setdefault(text, text)) != text:
            group[text] = text = group[other]
        return text

    for character, alike in confusables_data.items():
        for each in alike:
            one, other = sorted((of(_bare(character)), of(_bare(each["c"]))), key=_preference)
            group[other] = one
    return {text: of(text) for text in list(group) if len(text) == 1}


def _bare(text: str) -> str:
    return text.translate(_BIDI_MARKS) or text


def _preference(text: str) -> tuple[int, str]:
    """What stands for its group: several letters that look like one ("rn" like "m"), else the first of them."""
    return -len(text), text
