"""What a model writes before it answers is no answer: thoughts in tags are cut before a reply is read."""

from __future__ import annotations

import re

__all__ = ["without_thoughts"]

_NAME = (
    r"(?:seed:)?(?:think|thinking|thought|thoughts|reason|reasoning|rationale|reflection|analysis|scratch_?pad"
    r"|chain[_-]of[_-]thought|cot|inner[_-]monologue)"
)
# In the order of the alternatives: XML (also DeepSeek-R1, Qwen3, Seed), square brackets (Magistral), the triangles of
# Kimi-VL, begin_of_thought (Sky-T1, OpenThinker), START_THINKING (Command A), channels (gpt-oss, also with its special
# tokens stripped), and the reserved tokens of MedGemma.
_OPENING = (
    rf"<{_NAME}(?:\s[^<>\n]{{0,80}})?>|\[{_NAME}\]|\u25c1{_NAME}\u25b7|<\|{_NAME}\|>|<\|begin[_▁]of[_▁]{_NAME}\|>"
    rf"|<\|start_{_NAME}\|>|<\|channel\|>\s*(?:analysis|commentary)\b|\Aanalysis(?=[A-Z])|<unused94>"
)
_CLOSING = (
    rf"</{_NAME}\s*>|\[/{_NAME}\]|\u25c1/{_NAME}\u25b7|<\|/{_NAME}\|>|<\|end[_▁]of[_▁]{_NAME}\|>"
    rf"|<\|end_{_NAME}\|>|<\|channel\|>\s*final\b|(?:\.|\s|\w)assistantfinal(?=[A-Z'\"*\s]|$)|<unused95>"
)
_BORDER = re.compile(rf"(?P<closing>{_CLOSING})|(?P<opening>{_OPENING})", re.IGNORECASE)


def without_thoughts(reply: str) -> str | None:
    """Return a reply without what stands between tags of thinking; None where the thinking does not end.

    A closing tag without an opening one ends thoughts that began in the prompt, as in templates of reasoning models.

    >>> without_thoughts("<think>Is she? Yes.</think>Ambivalent")
    'Ambivalent'
    >>> without_thoughts("She smiles.</think> Non-Ambivalent")
    ' Non-Ambivalent'
    >>> without_thoughts("<think>She seems Ambivalent") is None
    True
    """
    said: list[str] = []
    is_thinking, place = False, 0
    for border in _BORDER.finditer(reply):
        if border["closing"] is None:
            if not is_thinking:
                said.append(reply[place : border.start()])
            is_thinking = True
        else:
            if not is_thinking:
                said.clear()
            is_thinking, place = False, border.end()
    return None if is_thinking else "".join(said) + reply[place:]
