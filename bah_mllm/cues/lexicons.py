"""What hesitation sounds like in a language: the word lists of ``lexicons/*.toml``, and which language is spoken."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

__all__ = ["LANGUAGES", "Lexicon", "Phrase", "guess_language", "lexicon", "plain"]

LANGUAGES = ("en", "fr")

Where = Literal["anywhere", "start", "set_off", "alone", "not_last", "ends", "asks"]

_QUOTES = str.maketrans("", "", "'\u2018\u2019\u02bc`")
_CORE = re.compile(r"\w(?:.*\w)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words with a meaning to this package, and the neighbours that give them another.

    Args:
        words: One to six plain words.
        where: ``start`` of a clause; ``set_off`` by a pause, punctuation or a filler on one side; ``alone`` between
            two of them; ``not_last``: not at the end of a clause that it does not open; ``ends`` a clause; ``asks``:
            before a question mark; or ``anywhere``.
        not_after: Words before it that give it another meaning.
        not_before: Words after it that do.
    """

    words: tuple[str, ...]
    where: Where = "anywhere"
    not_after: frozenset[str] = frozenset()
    not_before: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The word lists of one language. Words are plain (``plain``).

    Args:
        language: ISO 639-1 code.
        function_words: Frequent words that tell this language from the others.
        filler_sound: Pattern of a whole word that is a filler sound.
        never_repeated: Words whose doubling is no disfluency.
        families: Form of a subject to its first form: ``im`` to ``i``.
        elisions: Letters before an apostrophe to the word they stand for: ``j`` to ``je``.
        classes: Name of a class to its words.
        filler_words: By first word, longest first.
        hedges: By first word, longest first.
        corrections: By first word, longest first.
    """

    language: str
    function_words: frozenset[str]
    filler_sound: re.Pattern[str]
    never_repeated: frozenset[str]
    families: Mapping[str, str]
    elisions: Mapping[str, str]
    classes: Mapping[str, frozenset[str]]
    filler_words: Mapping[str, tuple[Phrase, ...]]
    hedges: Mapping[str, tuple[Phrase, ...]]
    corrections: Mapping[str, tuple[Phrase, ...]]


def plain(word: str) -> str:
    r"""Return a word as the lists have it: lower case, without apostrophes and outer punctuation, in NFC.

    >>> plain("Don't,"), plain("«Peut-e\u0302tre»"), plain("...")
    ('dont', 'peut-être', '')
    """
    core = _CORE.search(unicodedata.normalize("NFC", word).lower().translate(_QUOTES))
    return core.group() if core else ""


@cache
def lexicon(language: str) -> Lexicon:
    """Return the word lists of one of ``LANGUAGES``."""
    text = (files("bah_mllm.cues") / "lexicons" / f"{language}.toml").read_text(encoding="utf-8")
    entry = tomllib.loads(text)
    families = [forms.split() for forms in entry["families"].values()]
    return Lexicon(
        language=language,
        function_words=_words(entry["function_words"]),
        filler_sound=re.compile("|".join(entry["filler_sounds"])),
        never_repeated=_words(entry["never_repeated"]),
        families={form: forms[0] for forms in families for form in forms},
        elisions=entry.get("elisions", {}),
        classes={name: _words(words) for name, words in entry["classes"].items()},
        filler_words=_phrases(entry["filler_words"]),
        hedges=_phrases(entry["hedges"]),
        corrections=_phrases(entry["corrections"]),
    )


def guess_language(words: Iterable[str]) -> str | None:
    """Return the language whose function words are most frequent among plain words; None where there are none.

    >>> guess_language("je sais pas si je veux".split()), guess_language("I want to but".lower().split())
    ('fr', 'en')
    """
    counts = dict.fromkeys(LANGUAGES, 0)
    for word in words:
        for language in LANGUAGES:
            lists = lexicon(language)
            counts[language] += word in lists.function_words or lists.filler_sound.fullmatch(word) is not None
    best = max(LANGUAGES, key=counts.__getitem__)
    return best if counts[best] else None


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _phrases(entries: list[dict[str, str]]) -> dict[str, tuple[Phrase, ...]]:
    """Group phrases by their first word; ``phrase`` may hold several, separated by commas."""
    found: dict[str, list[Phrase]] = {}
    for entry in entries:
        for text in entry["phrase"].split(","):
            words = tuple(text.split())
            phrase = Phrase(
                words,
                where=entry.get("where", "anywhere"),  # type: ignore[arg-type]
                not_after=_words(entry.get("not_after", "")),
                not_before=_words(entry.get("not_before", "")),
            )
            found.setdefault(words[0], []).append(phrase)
    return {first: tuple(sorted(phrases, key=lambda phrase: -len(phrase.words))) for first, phrases in found.items()}
