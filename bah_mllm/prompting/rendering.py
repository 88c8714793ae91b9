"""Filling in a prompt: from what is known about a window to the text that a model is asked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bah_mllm.core.errors import PromptError
from bah_mllm.core.records import RenderedPrompt, Variant
from bah_mllm.prompting.front_matter import Need
from bah_mllm.prompting.neutralise import neutralise
from bah_mllm.prompting.questions import QUESTIONS, question_text
from bah_mllm.prompting.template import PromptTemplate

__all__ = ["PromptCheck", "PromptValues", "check_prompt", "missing_needs", "render_prompt", "render_text"]


@dataclass(frozen=True, slots=True)
class PromptValues:
    """What is known about one window, or one video, for a prompt to use.

    Args:
        transcript: What is said in the whole video, or None where unknown.
        question: 1 to 7, or None where unknown.
        window_transcript: What is said inside the window: empty where nothing is, None where it is not known when
            words were said.
        cues: Signs observed in the window: empty where there are none, None where nobody looked.
    """

    transcript: str | None = None
    question: int | None = None
    window_transcript: str | None = None
    cues: str | None = None


def missing_needs(template: PromptTemplate, values: PromptValues) -> list[Need]:
    """Return the variables of a prompt for which there is no value, in the order of its front matter.

    A transcript without words is missing: the prompt would quote nothing. The video is not looked at here.
    """
    known = _texts(values)
    return [variable for variable in template.variables if variable not in known]


def render_prompt(
    template: PromptTemplate, values: PromptValues, markers: Sequence[str], *, variant: Variant = Variant.MAIN
) -> RenderedPrompt:
    """Return what a model is asked.

    All that comes from outside (transcript, words of the window, cues) is neutralised first; outer white space of
    these goes, full stops stay: the paper's "{transcript}." makes two of them where a transcript ends with one.

    Args:
        template: The prompt.
        values: At least what it needs; see ``missing_needs``.
        markers: Special tokens and role markers of the engine that will read it.
        variant: How to ask; see ``PromptTemplate.render``.

    Raises:
        PromptError: A value is missing, or the template cannot be rendered.
    """
    used = {key: text for key, text in _texts(values).items() if key in template.variables}
    clean = {key: neutralise(text, markers) for key, text in used.items()}
    return RenderedPrompt(
        name=template.name,
        text=template.render({key.value: harmless.text.strip() for key, harmless in clean.items()}, variant=variant),
        labels=dict(template.front.labels),
        n_neutralised=0 if variant is Variant.CONTENT_FREE else sum(harmless.n_markers for harmless in clean.values()),
        variant=variant,
    )


def _texts(values: PromptValues) -> dict[Need, str]:
    """Return the text of each variable that has a value."""
    texts = {Need.WINDOW_TRANSCRIPT: values.window_transcript, Need.CUES: values.cues}
    if values.transcript is not None and values.transcript.strip():
        texts[Need.TRANSCRIPT] = values.transcript
    if values.question is not None:
        texts[Need.QUESTION] = str(values.question)
        if values.question in QUESTIONS:  # other data sets ask other questions, whose words are not known here
            texts[Need.QUESTION_TEXT] = question_text(values.question)
    return {key: text for key, text in texts.items() if text is not None}


def render_text(template: PromptTemplate, variables: Mapping[str, str], *, variant: Variant = Variant.MAIN) -> str:
    """Return the text of a prompt for values given by hand, as ``prompts render`` prints it.

    Values go in as they are, apart from their outer white space: no engine is known whose markers could be in them.
    ``question`` may be a number from 1 to 7 or the question's words; ``question_text`` follows from it.

    Args:
        template: The prompt.
        variables: Text by name of the variable; others than the prompt needs are ignored.
        variant: How to ask; see ``PromptTemplate.render``.

    Raises:
        PromptError: A value is missing, or the template cannot be rendered.
    """
    texts = {name: text.strip() for name, text in variables.items()}
    for name, text in texts.items():
        if any("\ud800" <= letter <= "\udfff" for letter in text):  # what Python makes of other bytes in an argument
            raise PromptError(f"The value of {name} is not UTF-8.", remedy="Give it as UTF-8 text.")
    if "question" in texts:
        asked = texts["question"]
        number = int(asked) if re.fullmatch(r"[1-7]", asked) else None
        texts.setdefault("question_text", QUESTIONS[number] if number else asked)
    return template.render(texts, variant=variant)


@dataclass(frozen=True, slots=True)
class PromptCheck:
    """What ``prompts check`` says about a prompt that is well formed.

    Args:
        template: The prompt.
        sample: Its text with stand-ins for the values.
        warnings: What works, but is probably not meant.
    """

    template: PromptTemplate
    sample: str
    warnings: tuple[str, ...]


def check_prompt(template: PromptTemplate) -> PromptCheck:
    """Render a prompt with stand-ins, and look for what is probably not meant.

    Raises:
        PromptError: It cannot be rendered.
    """
    stand_ins = {need.value: f"[{need.value.replace('_', ' ')}]" for need in template.variables}
    sample = template.render(stand_ins)
    unnamed = [label for label in template.front.labels if label.casefold() not in sample.casefold()]
    warnings = [f"The text never names the label {label!r}: a model has to guess it." for label in unnamed]
    if not unnamed and not template.can_swap:
        warnings.append("The labels are not listed in quotes: the swapped variant cannot be asked.")
    if not sample:
        warnings.append("The text is empty.")
    return PromptCheck(template, sample, tuple(warnings))
