r"""From what a model wrote to the label that it means, if it means one.

A parser is a function (reply, labels) -> 0, 1 or None. ``default`` reads as a careful person would and says None when
in doubt; ``upstream`` repeats the paper's public code.

How ``default`` reads, in this order:
    1. Case, quotes, markdown, special tokens and kinds of dashes do not matter; "non ambivalent" and "nonambivalent"
       are "Non-Ambivalent". Labels are words: neither "Ambivalence" nor "A" is "Ambivalent".
    2. The last stated answer counts ("Answer: ...", "final answer is ...", "\boxed{...}"), whatever stands before it.
    3. Else a line or a sentence that is nothing but a label counts; two that disagree are no answer.
    4. Else all mentions together must agree. A negated mention counts as its opposite ("not ambivalent", "isn't
       ambivalent", "pas ambivalent"), a doubted one ("whether ...", "I cannot tell ...") leaves no answer, and a
       question is passed over.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache

from bah_mllm.core.errors import ConfigError

__all__ = ["PARSERS", "Parser", "find_parser", "parse_default", "parse_upstream"]

Parser = Callable[[str, Mapping[str, int]], int | None]

MAX_REPLY_CHARS = 20_000  # a model that writes more than this has not answered


def parse_upstream(reply: str, labels: Mapping[str, int]) -> int | None:
    """Return 0 for exactly a label that stands for 0 after the last colon, and 1 for everything else.

    So does the paper's public code: "Non-Ambivalent.", "non-ambivalent" and an empty reply become 1. To repeat its
    numbers, not to be believed.

    >>> parse_upstream("ASSISTANT: Non-Ambivalent", {"Non-Ambivalent": 0, "Ambivalent": 1})
    0
    >>> parse_upstream("Non-Ambivalent.", {"Non-Ambivalent": 0, "Ambivalent": 1})
    1
    """
    return 0 if labels.get(reply.rsplit(":", maxsplit=1)[-1].strip()) == 0 else 1


def parse_default(reply: str, labels: Mapping[str, int]) -> int | None:
    """Return the label that a reply means, or None where it means none, both, or leaves doubt.

    >>> parse_default("The person is not ambivalent.", {"Non-Ambivalent": 0, "Ambivalent": 1})
    0
    >>> parse_default("Classify as 'Non-Ambivalent' or 'Ambivalent'", {"Non-Ambivalent": 0, "Ambivalent": 1}) is None
    True
    """
    text = _plain(reply[-MAX_REPLY_CHARS:])
    lexicon = _lexicon(tuple(labels.items()))
    stated = _stated_answer(text)
    if stated is not None:
        return lexicon.agreed(stated)
    sentences = [sentence for sentence in re.split(r"[.!]\s|\n", text) if "?" not in sentence]
    alone = {value for sentence in sentences if (value := lexicon.exactly(sentence)) is not None}
    if alone:
        return alone.pop() if len(alone) == 1 else None
    return lexicon.agreed(text)


# The names that --parser knows.
PARSERS: dict[str, Parser] = {"default": parse_default, "upstream": parse_upstream}


def find_parser(name: str) -> Parser:
    """Return the parser of a name.

    Raises:
        ConfigError: There is none.
    """
    if name not in PARSERS:
        raise ConfigError(f"There is no parser named {name!r}.", remedy=f"Choose one of: {', '.join(sorted(PARSERS))}.")
    return PARSERS[name]


# --- plain text -------------------------------------------------------------------------------------------------------

_DASHES = re.compile("[\u2010-\u2015\u2212\u00ad-]+")
_QUOTES = '"\u2018\u201c\u201d\u00ab\u00bb'
_MARKUP = re.compile(rf"<[^<>\n]{{1,40}}>|[*_#`~\[\](){{}}|{_QUOTES}]|(?<!\w)'|'(?!\w)")


def _plain(text: str) -> str:
    """Return text in lower case without quotes, markdown and special tokens; hyphens become spaces."""
    text = unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")
    text = re.sub(r"\\boxed\b|\\text\b", "\nanswer: ", text)
    text = re.sub(r"\bun-", "un", text)
    text = _MARKUP.sub(" ", _DASHES.sub(" ", text))
    return "\n".join(" ".join(line.split()) for line in text.splitlines()).strip()


_ANSWER = re.compile(
    r"\b(?:(?:answer|réponse|label|classification|category|prediction|verdict|conclusion|one word|assistant)\s?[:=]"
    r"|answer (?:is|would be)\b|réponse (?:finale )?est\b)"
)


def _stated_answer(text: str) -> str | None:
    """Return what follows the last "Answer:" on its line, or on the next one; None where no answer is announced."""
    announcements = list(_ANSWER.finditer(text))
    if not announcements:
        return None
    return text[announcements[-1].end() :].strip(" \n:=").partition("\n")[0]


# --- mentions of labels -----------------------------------------------------------------------------------------------

CONTEXT_CHARS = 300  # how far before a mention a negation or a doubt is looked for, within the sentence

# A negation turns a mention into its opposite when only such words stand between the two; with other words between
# them ("does not smile and is ..."), what is negated is not clear.
_FILLING = (
    "an? the any at all really very clearly truly actually particularly especially necessarily exactly quite so too "
    "appears? appearing seems? seeming looks? looking sounds? feels? feeling shows? showing be being been considered "
    "classified described labell?ed displaying as to of in is are that this they he she it state signs? evidence "
    "indications? person video emotion think believe say vraiment du tout très être une? sembler?"
).replace(" ", "|")
_NEGATION = (
    r"(?:\b(?:not|isnt|never|no|non|hardly|barely|pas|without|cannot be|rather than|instead of|opposite of)|n't)\b"
)
_NEGATED = re.compile(rf"{_NEGATION}(?:\s(?:{_FILLING}))*\s$")
_MAYBE_NEGATED = re.compile(rf"{_NEGATION}(?!\s(?:only|just|merely)\b)[^,:]*$")
_DOUBTED = re.compile(
    r"\b(?:whether|if|si|neither|nor|ni)\s(?:[\w']+\s){0,6}$"
    r"|\b(?:cannot|can't|can not|could not|couldn't|unable to|impossible to|not possible to|difficult to|hard to)"
    r" (?:determine|tell|say|classify|know|judge|answer|assess|identify|decide if)\b"
    r"|\b(?:i'm|i am|it's|it is) (?:not (?:sure|certain|clear|possible)|unsure|uncertain|unclear|impossible)\b"
    r"|\bi (?:don't|do not) know\b|\bnot enough\b|\binsufficient\b"
)
_OR_NOT = re.compile(r"\s?,?\s?or not\b")
_SENTENCE_END = re.compile(r"[.!?;\n]")
_CLAUSE_END = re.compile(r"[.!?;\n]|\b(?:but|however|mais)\b")
_YES_OR_NO = re.compile(r"\s?[:=?]\s?(?P<word>yes|true|oui|no|false|non)\b")


class _Lexicon:
    """The labels of one prompt, ready to be found in plain text."""

    def __init__(self, labels: tuple[tuple[str, int], ...]) -> None:
        self._values = {_compact(_plain(label)): value for label, value in labels}
        # The longest label first: "ambivalent" must not be found inside "non-ambivalent". One letter ("A") can be a
        # word of its own in a sentence: only ``exactly`` knows it.
        words = sorted({_plain(label) for label, _ in labels if len(_plain(label)) > 1}, key=len, reverse=True)
        spelled = "|".join(r"\s?".join(map(re.escape, word.split())) for word in words) or "(?!)"
        # French adjectives end on e, s or es; short labels would turn into other words ("no", "nos").
        self._mention = re.compile(rf"(?<!\w)(?P<un>un)?(?P<label>{spelled})(?:(?<=\w{{5}})e?s?)?(?!\w)")

    def exactly(self, text: str) -> int | None:
        """Return the value of a text that is nothing but a label, with or without punctuation around it."""
        compact = _compact(text)
        return self._values.get(compact, self._values.get(re.sub(r"^\W+|\W+$", "", compact)))

    def agreed(self, text: str) -> int | None:
        """Return the value that all mentions share, or None where there is none, or they differ or are doubted."""
        alone = self.exactly(text)
        if alone is not None and "?" not in text:
            return alone
        values: set[int | None] = set()
        start = 0
        for mention in self._mention.finditer(text):
            if not self._is_asked(mention, text):
                values.add(self._value_of(mention, text, start=start))
            start = mention.end()
        return values.pop() if len(values) == 1 else None

    def _is_asked(self, mention: re.Match[str], text: str) -> bool:
        """Return whether the mention stands in a question that is not answered on the spot."""
        end = _SENTENCE_END.search(text, mention.end())
        return end is not None and end[0] == "?" and _YES_OR_NO.match(text, mention.end()) is None

    def _value_of(self, mention: re.Match[str], text: str, *, start: int) -> int | None:
        """Return what a mention says in its clause, where words before ``start`` belong to the mention before it.

        Returns:
            Its label's value, the opposite, or None for doubt.
        """
        value = self._values[_compact(mention["label"])]
        answered = _YES_OR_NO.match(text, mention.end())
        if answered and self.exactly(answered["word"]) is None:  # "Ambivalent: no"; unless "no" is a label itself
            return value if answered["word"] in ("yes", "true", "oui") else 1 - value
        before = _CLAUSE_END.split(text[max(start, mention.start() - CONTEXT_CHARS) : mention.start()])[-1]
        if _DOUBTED.search(before) or _OR_NOT.match(text, mention.end()):
            return None
        if mention["un"] or _NEGATED.search(before):
            return 1 - value
        return None if _MAYBE_NEGATED.search(before) else value


def _compact(text: str) -> str:
    return "".join(text.split())


@lru_cache(maxsize=64)
def _lexicon(labels: tuple[tuple[str, int], ...]) -> _Lexicon:
    return _Lexicon(labels)
