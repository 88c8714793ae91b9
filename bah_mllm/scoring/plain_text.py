"""Replies without what does not matter in them: case, quotes, markdown, special tokens, kinds of dashes."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["plain"]

_DASHES = re.compile("[\u2010-\u2015\u2212\u00ad-]+")
# A dash between words ends a clause, but for the one in "Non - Ambivalent".
_CLAUSE_DASH = re.compile("(?<=[\\w'\"*.)])(?<!\\bnon)(?:\\s+[\u2010-\u2015\u2212-]+\\s+|\\s*\u2014\\s*)(?=\\w|['\"*])")
_QUOTES = '"\u2018\u201c\u201d\u00ab\u00bb'
_MARKUP = re.compile(rf"<[^<>\n]{{1,40}}>|[*_#`~\[\](){{}}|{_QUOTES}]|(?<!\w)'|'(?!\w)")
_ANSWER_TAG = re.compile(
    r"\\(?:boxed|text|textbf|mathrm|mathbf)\b|<(?:answer|final_answer|label|output|solution)>|\[answer\]"
    r"|<\|begin_of_solution\|>"
)
# As models misspell the paper's label.
_MISSPELT = re.compile(r"(?<![^\W_])(?P<before>(?:non|un)?[\s-]?)amb[ie]v[aeiou]ll?[ae]nt(?=e?s?(?![^\W_]))")


def plain(text: str) -> str:
    """Return text in lower case without quotes, markdown and special tokens; hyphens become spaces.

    >>> plain("**Non-Ambivelant** <|im_end|>")
    'non ambivalent'
    """
    text = unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")
    text = re.sub(r"(?<=\w)-[ \t]*\n\s*(?=\w)", "-", text)  # a word broken at the end of its line
    text = _ANSWER_TAG.sub("\nanswer: ", text)
    text = re.sub(r"(?<=\w)(['\"*]*)\s+\(", r"\1; ", re.sub(r"\bun-", "un", text))
    text = _MARKUP.sub(" ", _DASHES.sub(" ", _CLAUSE_DASH.sub(", ", text)))
    text = _MISSPELT.sub(r"\g<before>ambivalent", text)
    return "\n".join(" ".join(line.split()) for line in text.splitlines()).strip()
