r"""From what a model wrote to the label that it means, if it means one.

A parser is a function (reply, labels) -> 0, 1 or None. ``default`` reads as a careful person would and says None when
in doubt; ``upstream`` repeats the paper's public code.

How ``default`` reads, in this order:
    1. Thoughts in tags (``<think>``, ``[THINK]`` ...) are cut; where they do not end, there is no answer.
    2. Case, quotes, markdown, special tokens and kinds of dashes do not matter; "non ambivalent" and "nonambivalent"
       are "Non-Ambivalent". Labels are words: neither "Ambivalence" nor "A" is "Ambivalent".
    3. The last stated answer counts ("Answer: ...", "final answer is ...", "\boxed{...}", JSON), whatever stands before
       it or follows its clause.
    4. Else a line or a sentence that is nothing but a label counts; two that disagree are no answer.
    5. Else a conclusion ("so ...", "I'd say ..."), a label in bold, or one that the reply begins with.
    6. Else all mentions together must agree. A negated mention counts as its opposite ("far from ambivalent", "isn't
       ambivalent", "pas ambivalent"), a doubted one ("whether ...", "I cannot tell ...") leaves no answer. Questions,
       the choices repeated ("either ... or ..."), and what such a person would do are passed over; reasons and
       concessions count where there is nothing else.
    7. Without any label, "shows ambivalence" and "no signs of ambivalence" are read for labels named "ambivalent".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bah_mllm.core.errors import ConfigError
from bah_mllm.scoring.mentions import Lexicon, lexicon_of
from bah_mllm.scoring.plain_text import plain
from bah_mllm.scoring.thinking import without_thoughts

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
    said = without_thoughts(reply)
    if said is None:
        return None
    said = said[-MAX_REPLY_CHARS:]
    lexicon = lexicon_of(tuple(labels.items()))
    in_json = {value for found in _json_objects(said) for value in _values_in(found, lexicon)}
    if in_json:
        return in_json.pop() if len(in_json) == 1 else None
    text = _after_turns(_ASSISTANT.split(plain(said))[-1], lexicon)
    value = _read(said, text, lexicon)
    return _of_the_noun(text, labels) if value is None and not lexicon.is_named(text) else value


def _read(said: str, text: str, lexicon: Lexicon) -> int | None:
    """Return what a reply says of its labels, from its raw and its plain text."""
    announced = [_statement(text, found.end()) for found in _ANSWER.finditer(text)]
    if announced:
        return _last_stated(announced, lexicon)
    sentences = [sentence for sentence in re.split(r"[.!]\s|\n", text) if "?" not in sentence]
    alone = {value for sentence in sentences if (value := lexicon.exactly(sentence)) is not None}
    if alone:
        return alone.pop() if len(alone) == 1 else None
    for statement in _decisions(said, text):
        if lexicon.is_named(statement) and (value := lexicon.stated(statement)) is not None:
            return value
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


# --- stated answers ---------------------------------------------------------------------------------------------------

_ASSISTANT = re.compile(r"\bassistant\s?:\s?")
_ANSWER = re.compile(
    r"\b(?:(?:answer|réponse|label|classification|classify|category|class|prediction|verdict|conclusion|one word|output"
    r"|decision|choice|judge?ment|result|emotion|state|étiquette)\s?[:=]"
    r"|(?:answer|verdict|classification|label|prediction|conclusion|choice)"
    r" (?:is|would be|has to be|must be)\b(?!\sthe\b)|réponse (?:finale )?est\b)"
)
_REFUSED = re.compile(
    r"\b(?:unknown|undetermined|unclear|uncertain|none|neither|both|cannot|can't|n/a|not sure|inconclusive)\b"
)
_CONCLUSION = re.compile(
    r"(?:(?:^|[.;,\n]\s?)(?:so|therefore|thus|hence|overall|in conclusion|in summary|to conclude|to sum up|in short"
    r"|consequently|ultimately|on balance|donc|en conclusion|au final)\b|\bi(?:'d|'ll| would| will| have to| must)?"
    r"\s(?:(?:still|therefore|thus)\s)?(?:say|choose|pick|select|go with|lean|conclude|answer|classify|label)\b"
    r"(?!\snot))"
)
_TURNED = re.compile(
    r"\b(?:on second thoughts?|on reflection|wait|correction|scratch that|\.\.\.\s?no|i mean|let me reconsider)\b"
)
_LEADING = re.compile(
    r"[.;\n](?!\s?\d)|:\s?(?!(?:yes|no|true|false|oui|non)\b)(?=[^\W\d])"
    r"|,?\s(?:because|since|as|given|due to|although|though|while|whereas|even though|car|parce que|puisque|bien que)\b"
)
_BOLD = re.compile(r"\*\*([^*\n]{1,60})\*\*|__([^_\n]{1,60})__")


def _statement(text: str, start: int) -> str:
    """Return what follows an announcement on its line, or on the next one."""
    return text[start:].strip(" \n:=,").partition("\n")[0]


def _last_stated(announced: list[str], lexicon: Lexicon) -> int | None:
    """Return the value of the last stated answer; one that is about something else is passed over, a refusal is not."""
    for statement in reversed(announced):
        if lexicon.is_named(statement):
            return lexicon.stated(statement)
        if not statement or _REFUSED.search(statement):
            return None
    return None


def _after_turns(text: str, lexicon: Lexicon) -> str:
    """Return what follows the last change of mind, where a label follows it."""
    turns = list(_TURNED.finditer(text))
    return text[turns[-1].end() :].strip(" ,:;.") if turns and lexicon.is_named(text[turns[-1].end() :]) else text


def _decisions(said: str, text: str) -> Iterator[str]:
    """Yield what the reply decides upon, the most telling first."""
    for found in reversed(list(_CONCLUSION.finditer(text))):
        yield text[found.start() :].lstrip(".;,\n ").partition("\n")[0]
    bold = list(_BOLD.finditer(said))
    if len({plain(one[0]) for one in bold}) == 1:
        line = said[: bold[-1].end()].rpartition("\n")[2]
        yield re.split(r"[.!?;:]\s", plain(line))[-1]
    leading = re.match(r"[^.,;:\n]{1,40}", text)
    if leading is not None:
        yield from _leading_label(leading[0], text)


def _leading_label(words: str, text: str) -> Iterator[str]:
    """Yield the label that a reply begins with, where its clause ends there or goes on to give a reason."""
    reason = _LEADING.search(text)
    if reason is not None and reason.start() <= len(words) and len(text[: reason.start()].split()) <= 2:
        yield text[: reason.start()]


def _json_objects(said: str) -> Iterator[dict[str, Any]]:
    for found in re.finditer(r"\{[^{}]{1,4000}\}", said):
        try:
            record = json.loads(found[0])
        except ValueError:
            continue
        if isinstance(record, dict):
            yield record


def _values_in(record: Mapping[str, Any], lexicon: Lexicon) -> Iterator[int]:
    """Yield the labels that a record gives: as a whole value, or as a name that is true or false."""
    for key, value in record.items():
        if isinstance(value, str) and (label := lexicon.exactly(plain(value))) is not None:
            yield label
        elif isinstance(value, bool) and (label := lexicon.exactly(plain(key))) is not None:
            yield label if value else 1 - label


# --- the noun ---------------------------------------------------------------------------------------------------------

_NOUN = re.compile(
    r"\b(?P<no>(?:no|without|lacks?|lacking|zero|little|hardly any|free (?:of|from)|devoid of|absence of|aucune|sans"
    r"|not)\s(?:[\w']+\s){0,4})?"
    r"(?P<has>(?:shows?|showing|displays?|expresses|exhibits?|feels|experiences?|conveys?|reveals?|indicates?|suggests?"
    r"|demonstrates?|signs? of|evidence of|hints? of|sense of|full of|montre|exprime)\s(?:[\w']+\s){0,3})?"
    r"(?:de\s|d'|l')?ambivalence\b"
)

_NONE_OF_IT = re.compile(r"\b(?:no|not|without|zero|little|aucune)\b")


def _of_the_noun(text: str, labels: Mapping[str, int]) -> int | None:
    """Return what a reply says of "ambivalence", where the labels are the paper's."""
    positive = next((value for label, value in labels.items() if plain(label) == "ambivalent"), None)
    if positive is None or "?" in text or re.search(r"\b(?:whether|if|unclear|cannot|can't)\b", text):
        return None
    found = [one for one in _NOUN.finditer(text) if one["no"] or one["has"]]
    values = {1 - positive if one["no"] or _NONE_OF_IT.search(one[0]) else positive for one in found}
    return values.pop() if len(values) == 1 else None
