"""Labels named in plain text, and what each mention says: the label, its opposite, or nothing."""

from __future__ import annotations

import re
from functools import lru_cache

from bah_mllm.scoring.plain_text import plain

__all__ = ["Lexicon", "lexicon_of"]

CONTEXT_CHARS = 300  # how far before a mention a negation or a doubt is looked for, within the sentence

# A negation turns a mention into its opposite when only such words stand between the two; with other words between
# them ("does not smile and is ..."), what is negated is not clear.
_FILLING = (
    "an? the any at all really very clearly truly actually particularly especially necessarily exactly quite so too "
    "much even remotely in the least visibly obviously overly "
    "once does do did case example instance go with choose pick "
    "appears? appearing seems? seeming looks? looking sounds? feels? feeling shows? showing be being been considered "
    "come comes across act acts acting behave behaves behaving come strike strikes have having give gives "
    "express expresses expressing exhibits? exhibiting demonstrates? demonstrating display displays displaying "
    "classified classify described describe called call labell?ed label judged judge consider say said regard regarded "
    "as to of in is are was that this these they he she it her him them me us someone anyone anything something state "
    "signs? evidence indications? hints? traces? sense impression cues? reason way kind sort feelings? person speaker "
    "participant video emotion think believe expressions? suggests? suggesting indicates? "
    "vraiment du tout très être une? sembler? semble de des signes? la personne que soit paraître paraît comme l'"
).replace(" ", "|")
# Some negate whatever follows them in their clause, so that a mention further on is in doubt; others only what is next.
_NOT = r"\b(?:not|isnt|never|no|non|hardly|barely|scarcely|pas|without|cannot be|opposite of|nor)\b|n't\b"
_NEXT_ONLY = (
    r"\b(?:far from|anything but|nothing|none of|lacks?|lacking|a lack of|devoid of|free (?:of|from)|absence of"
    r"|rather than|than|instead of|as opposed to|opposed to|in contrast to|nowhere near|by no means|in no way"
    r"|unlikely to|little|few|no longer|fails? to|rules? out|ruled out|excludes?|wrong to|incorrect to|inaccurate to"
    r"|a mistake to|a stretch to|false that|untrue that|aucun|aucune|aucunement|nullement|guère|jamais|plus|rien|sans"
    r"|plutôt que|tout sauf|loin|ni)\b"
)
_LIST = r"(?:\s?(?!sure|certain|clear)\w+,?\s(?:or|nor|ou|ni)\b)"  # "neither calm nor ...", "not hesitant or ..."
_BETWEEN = rf"(?:(?:[\s,]|\s?d')(?:{_FILLING})\b|\s?d')*{_LIST}?(?:\s(?:{_FILLING})\b|\s?d')*"
_NEGATED = re.compile(rf"(?:{_NOT}|{_NEXT_ONLY}|\b(?:neither|ni)\b){_BETWEEN}(?:\s|(?<='))$")
_MAYBE_NEGATED = re.compile(rf"(?:{_NOT})(?!\s(?:only|just|merely|doubt)\b)[^,:]*$")
_CERTAINLY = re.compile(r"\b(?:no|without(?: a)?) doubt\b|\bno question\b|\bcan't help but\b")
_NEGATED_AFTER = re.compile(
    r"\s?,?\s?(?:(?:is|was|are|would be|seems|n'est)\s)?(?:(?:clearly|definitely|probably|certainly)\s)?"
    r"(?:(?:not|pas)\s(?:(?:an?|the|la|le)\s)?(?:(?:right|correct|best|appropriate|apt|accurate|bonne)\s)?"
    r"(?:answer|label|case|word|choice|classification|description|correct|right|accurate|appropriate|apt|réponse)\b"
    r"|(?:the\s)?(?:wrong|incorrect|inaccurate|inappropriate|ruled out|excluded|false|missing|absent|lacking)\b"
    r"|(?:does not|doesn't|do not|don't|did not|didn't|would not|wouldn't) (?:fit|apply|describe|match|suit)\b"
    r"|(?:can|could) be (?:ruled out|excluded)\b)"
    r"|\s?,?\s?is (?:exactly )?what (?:she|he|they|it|the person) (?:is|are) not\b"
    r"|\s(?:signs?|cues?|feelings?|behaviou?rs?|expressions?) (?:is|are|were) (?:missing|absent|lacking)\b"
)
_UNDECIDED = re.compile(
    r"\b(?:cannot|can't|can not|could not|couldn't|unable to|impossible to|not possible to|difficult to|hard to)"
    r" (?:determine|tell|say|classify|know|judge|answer|assess|identify|decide if)\b"
    r"|\b(?:i'm|i am|it's|it is) (?:not (?:sure|certain|clear|possible)|unsure|uncertain|unclear|impossible)\b"
    r"|\bi (?:don't|do not) know\b|\bnot enough\b|\binsufficient\b|\b(?:unknown|undetermined|inconclusive|n/a)\b"
    r"|\b(?:may|might|could) or (?:may|might|could) not\b"
)
_WHETHER = re.compile(r"\b(?:whether|if|si)\s(?:[\w']+\s){0,6}$")
_OR_NOT = re.compile(r"\s?,?\s?(?:or not|ou non|ou pas|nor (?:sure|certain|clear|confident|decided|settled))\b")
_SENTENCE_END = re.compile(r"[.!?;\n]")
_CLAUSE_END = re.compile(r"[.!?;\n]|(?<!anything )\b(?:but|however|mais|so|therefore|thus|hence|donc)\b")
_YES_OR_NO = re.compile(
    r"\s?[:=?]\s?(?P<word>yes|true|oui|no|false|non)\b(?=\s*(?:[.,;!\n]|$|because|since|as\b|car\b|the\b|she\b|he\b))"
)
# What a person of that kind would do says nothing of this one.
_SUPPOSED = re.compile(
    r"(?:e|es|s)?\s(?:(?:person|people|individuals?|someone|somebody|speakers?|participants?|personne|personnes|one|ones"
    r"|responses?|reply|replies|answer|behaviou?r|expressions?|face|faces|state)\s)?(?:(?:who|that|which)[^.,;]{0,40}\s)?"
    r"(?:would|might|will|could|may|often|usually|typically|tends?|generally|serait|ferait|aurait)\b"
)
_SOME = re.compile(
    r"\b(?:an?|any|someone|somebody|people|those|one|truly|really|most|une?|who is|who are|if|were|was)\s$"
    r"|^$|\s?[,.;]\s$"
)
# Reasons and concessions speak of other people, other moments and what might have been.
_REASON = re.compile(
    r"\b(?:because|since|as(?! well| opposed| if)|given|due to|although|though|while|whereas|even if|even though"
    r"|despite|unlike|compared (?:to|with)|for an?|car|parce que|puisque|bien que|alors que|même si|contrairement)\b"
)
_CONCEDED = re.compile(
    r"^\W*(?:(?:while|although|though|even though|even if|whereas|if|despite|unlike|bien que|si|même si|malgré)\b"
    r"[^,.;]*"
    r"|(?:at first|initially|some (?:might|may|would|could)|one (?:might|may|could)|it (?:might|may|could)"
    r"|you (?:might|may|could))[^.;]*?(?=\s?,?\s?(?:but|yet|however)\b))"
)
_RECONSIDERED = re.compile(
    r"\s?[.,;]?\s?(?:but\s|though\s|although\s)?(?:(?:it|this|she|he|they)\s)?"
    r"(?:or|and|then|could|might|may|possibly|maybe|perhaps|equally|also|sometimes|partly|at times)\b"
)


class Lexicon:
    """The labels of one prompt, ready to be found in plain text."""

    def __init__(self, labels: tuple[tuple[str, int], ...]) -> None:
        self._values = {_compact(plain(label)): value for label, value in labels}
        # The longest label first: "ambivalent" must not be found inside "non-ambivalent". One letter ("A") can be a
        # word of its own in a sentence: only ``exactly`` knows it.
        words = sorted({plain(label) for label, _ in labels if len(plain(label)) > 1}, key=len, reverse=True)
        spelled = "|".join(r"\s?".join(map(re.escape, word.split())) for word in words) or "(?!)"
        # French adjectives end on e, s or es; short labels would turn into other words ("no", "nos").
        label = rf"(?:{spelled})(?:(?<=\w{{5}})e?s?)?"
        self._mention = re.compile(rf"(?<!\w)(?P<un>un)?(?P<label>{spelled})(?:(?<=\w{{5}})e?s?)?(?!\w)")
        joined = r"\s?(?:,\s?|/|\||&|(?:,\s?)?\b(?:or|and|ou|et|versus|vs\.?)\s(?:(?:an?|the|is|be|being|une?)\s)*)\s?"
        # "either X or Y" repeats the choice, and is none.
        self._choices = re.compile(
            rf"(?:\b(?:either|between|whether|soit|entre)\s)?(?<!\w){label}(?!\w)(?:{joined}{label}(?!\w))+"
        )

    def exactly(self, text: str) -> int | None:
        """Return the value of a text that is nothing but a label, with or without punctuation around it."""
        compact = _compact(text)
        return self._values.get(compact, self._values.get(re.sub(r"^\W+|\W+$", "", compact)))

    def is_named(self, text: str) -> bool:
        """Return whether a label is mentioned at all."""
        return self.exactly(text) is not None or self._mention.search(text) is not None

    def stated(self, text: str) -> int | None:
        """Return the value of an answer that was announced: of its first clause with a label, not of what follows."""
        alone = self.exactly(text)
        if alone is not None:
            return alone
        text = self._without_choices(text)
        first = self._mention.search(text)
        if first is None:
            return None
        stop = re.compile(rf"[.,;\n]|\b(?:but|mais)\b|{_REASON.pattern}").search(text, first.end())
        end = len(text) if stop is None else stop.start()
        if _RECONSIDERED.match(text, end) and self._mention.search(text, end):
            end = len(text)
        return self.agreed(text[:end])

    def agreed(self, text: str) -> int | None:
        """Return the value that all mentions share, or None where there is none, or they differ or are doubted.

        Mentions in reasons and concessions count only where there are no others.
        """
        alone = self.exactly(text)
        if alone is not None and "?" not in text:
            return alone
        text = self._without_choices(text)
        main: set[int | None] = set()
        aside: set[int | None] = set()
        start = 0
        for mention in self._mention.finditer(text):
            if not (self._is_asked(mention, text) or self._is_supposed(mention, text)):
                chosen = aside if self._is_aside(mention, text) else main
                chosen.add(self._value_of(mention, text, start=start))
            start = mention.end()
        values = main or aside
        return values.pop() if len(values) == 1 else None

    def _without_choices(self, text: str) -> str:
        """Return text without the places that name labels of both kinds as alternatives."""

        def blank(found: re.Match[str]) -> str:
            values = {self._values[_compact(one["label"])] for one in self._mention.finditer(found[0])}
            return found[0] if len(values) < 2 else " "

        return self._choices.sub(blank, text)

    def _is_asked(self, mention: re.Match[str], text: str) -> bool:
        """Return whether the mention stands in a question that is not answered on the spot."""
        end = _SENTENCE_END.search(text, mention.end())
        return end is not None and end[0] == "?" and _YES_OR_NO.match(text, mention.end()) is None

    def _is_supposed(self, mention: re.Match[str], text: str) -> bool:
        """Return whether it is about what somebody of that kind would do."""
        before = text[max(0, mention.start() - CONTEXT_CHARS) : mention.start()]
        return bool(_SUPPOSED.match(text, mention.end()) and _SOME.search(before)) or bool(
            re.search(r"\b(?:if|si)\b[^.;]{0,60}\b(?:were|was|had been|était)\b[^.,;]{0,30}$", before)
        )

    def _is_aside(self, mention: re.Match[str], text: str) -> bool:
        """Return whether it stands in a reason or a concession."""
        sentence = _sentence_before(text[max(0, mention.start() - CONTEXT_CHARS) : mention.start()])
        named = self._mention.search(sentence)
        if named is not None and _REASON.search(sentence, named.end()):
            return True
        start = mention.start() - len(sentence)
        conceded = _CONCEDED.match(text[start : mention.end() + CONTEXT_CHARS])
        return conceded is not None and conceded.end() >= mention.end() - start

    def _value_of(self, mention: re.Match[str], text: str, *, start: int) -> int | None:
        """Return what a mention says in its clause, where words before ``start`` belong to the mention before it.

        Returns:
            Its label's value, the opposite, or None for doubt.
        """
        value = self._values[_compact(mention["label"])]
        if mention["un"]:
            value = 1 - value
        answered = _YES_OR_NO.match(text, mention.end())
        if answered and self.exactly(answered["word"]) is None:  # "Ambivalent: no"; unless "no" is a label itself
            return value if answered["word"] in ("yes", "true", "oui") else 1 - value
        before = _CLAUSE_END.split(text[max(start, mention.start() - CONTEXT_CHARS) : mention.start()])[-1]
        if _UNDECIDED.search(before) or _WHETHER.search(before) or _OR_NOT.match(text, mention.end()):
            return None
        before = _CERTAINLY.sub(" ", before)
        is_negated = bool(_NEGATED.search(before)) or bool(self._is_second_of_neither(mention, text))
        if _NEGATED_AFTER.match(text, mention.end()):
            is_negated = not is_negated
        if is_negated:
            return 1 - value
        return None if _MAYBE_NEGATED.search(before) else value

    @staticmethod
    def _is_second_of_neither(mention: re.Match[str], text: str) -> re.Match[str] | None:
        """Return where "neither ..." begins for a mention that follows its "nor"."""
        sentence = _sentence_before(text[max(0, mention.start() - CONTEXT_CHARS) : mention.start()])
        return re.search(rf"\b(?:neither\b[^.,;:]*\bnor|ni\b[^.,;:]*\bni)(?:\s(?:{_FILLING}))*\s$", sentence)


def _sentence_before(text: str) -> str:
    return _SENTENCE_END.split(text)[-1]


def _compact(text: str) -> str:
    return "".join(text.split())


@lru_cache(maxsize=64)
def lexicon_of(labels: tuple[tuple[str, int], ...]) -> Lexicon:
    """Return the lexicon of some labels, made once."""
    return Lexicon(labels)
