"""Prompt files: reading, checking and rendering them.

A prompt is a Jinja2 file with TOML front matter between ``+++`` fences (see ``prompts/README.md``). Prompt files may
come from strangers, and what is filled in certainly does:

- Rendering happens in Jinja2's sandbox, without HTML escaping, and with an error for undefined variables.
- Prompts use a small part of Jinja2 (see ``checking``): text, values, conditions, includes and loops that do not nest.
  All that is left runs in time and memory proportional to the file and its values.
- Values are data. Template syntax inside them comes out as it went in.
"""

from __future__ import annotations

import hashlib
import re
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import jinja2

from bah_mllm.core.errors import PromptError
from bah_mllm.core.records import Variant
from bah_mllm.prompting.checking import (
    MAX_FILE_CHARS,
    check_needs,
    check_text,
    collect_partials,
    environment,
    failing_filter,
)
from bah_mllm.prompting.front_matter import CONTENT_NEEDS, FrontMatter, Need, split_front_matter

__all__ = ["CONTENT_FREE_TEXT", "PromptTemplate", "parse_template"]

CONTENT_FREE_TEXT = "N/A"  # the content-free input of Zhao et al. 2021, "Calibrate Before Use", section 5


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    r"""A prompt file, checked.

    Args:
        name: As given to ``--prompt``: the path in its folder without the suffix (``upstream/def1``).
        path: The file.
        front: Its front matter.
        body: The template below the front matter.
        first_line: Line of the file on which the body starts, counted from 1.
        partials: Name and text of each file that it includes, sorted by name.
        digest: SHA-256 of the file's text (line ends as ``\n``) and of its partials' in their order.
    """

    name: str
    path: Path
    front: FrontMatter
    body: str
    first_line: int
    partials: tuple[tuple[str, str], ...]
    digest: str

    @property
    def variables(self) -> tuple[Need, ...]:
        """The needs that are filled into the text."""
        return tuple(need for need in self.front.needs if need is not Need.VIDEO)

    @property
    def can_swap(self) -> bool:
        """True where the text lists its labels in quotes: ``Variant.SWAPPED`` can list them in another order."""
        texts = (self.body, *(partial for _, partial in self.partials))
        return any(_mirror(text, tuple(self.front.labels)) != text for text in texts)

    def render(self, values: Mapping[str, str], *, variant: Variant = Variant.MAIN) -> str:
        """Return the prompt's text, trailing white space removed, without an engine's wrapper.

        ``SWAPPED`` turns the order of labels round where they are listed in quotes (``'Non-Ambivalent' or
        'Ambivalent'`` becomes ``'Ambivalent' or 'Non-Ambivalent'``), in the prompt's own text and never in a value; a
        label alone stays, for it may be defined there. ``CONTENT_FREE`` fills in ``N/A`` for the transcript, the words
        of the window and the cues; the question stays.

        Args:
            values: Text of at least every variable; others are ignored. Used as it is, without any clean-up.
            variant: How to ask.

        Raises:
            PromptError: Values are missing, the labels cannot be swapped, or the template fails.
        """
        missing = [variable for variable in self.variables if variable not in values]
        if missing:
            raise PromptError(
                f"The prompt {self.name!r} lacks a value for: {', '.join(missing)}.",
                remedy="Give " + " and ".join(_flag(variable) for variable in missing) + ".",
            )
        used = {variable.value: values[variable] for variable in self.variables}
        if variant is Variant.CONTENT_FREE:
            used |= {variable.value: CONTENT_FREE_TEXT for variable in self.variables if variable in CONTENT_NEEDS}
        # Ten times: room for a template that repeats its values.
        limit = MAX_FILE_CHARS + 10 * sum(map(len, used.values()))
        try:
            text = _join_up_to(limit, _compiled(self, swapped=variant is Variant.SWAPPED).generate(used))
        except PromptError:
            raise
        except Exception as error:
            raise self._cannot_render(error) from error
        if text is None:
            raise PromptError(
                f"The prompt {self.name!r} prints more than {MAX_FILE_CHARS:,} characters beside its values.",
                remedy=f"Shorten the loop in {self.path}.",
            )
        return text.rstrip()

    def _cannot_render(self, error: Exception) -> PromptError:
        """Return the refusal, without the error's words, which may quote a value."""
        # Jinja2 puts the template's own file and line into the traceback.
        files = {str(self.path), *(name for name, _ in self.partials)}
        places = [
            f"{frame.f_code.co_filename}, line {line}"
            for frame, line in traceback.walk_tb(error.__traceback__)
            if frame.f_code.co_filename in files
        ]
        at = places[-1] if places else str(self.path)
        name = failing_filter(error)
        what = "its template fails" if name is None else f"the filter {name!r} fails"
        return PromptError(
            f"The prompt {self.name!r} cannot be rendered: {at}: {what} ({type(error).__name__}).",
            remedy="Correct what the filter is given there." if name else "Simplify the conditions and loops there.",
        )

    def __hash__(self) -> int:
        return hash((self.name, self.digest))


def parse_template(
    text: str, *, name: str, path: Path, load_partial: Callable[[str], tuple[Path, str]]
) -> PromptTemplate:
    r"""Read the text of a prompt file.

    Args:
        text: All of the file, line ends as ``\n``.
        name: What the prompt will be called.
        path: Where it was read; named in errors.
        load_partial: Returns path and text of an included file; raises PromptError where there is none.

    Raises:
        PromptError: Front matter or template are malformed, or declared needs are not the variables used. Names the
            file and the line.
    """
    check_text(text, path)
    front, front_text, body = split_front_matter(text, path)
    sources = {name: body}
    collect_partials(name, sources, load_partial, including=())
    partials = tuple(sorted((key, source.text) for key, source in sources.items() if key != name))
    check_needs(front, front_text, sources, path)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
    for _, partial in partials:
        digest.update(partial.encode("utf-8", "surrogatepass"))
    return PromptTemplate(name, path, front, body.text, body.first_line, partials, digest.hexdigest())


def _flag(variable: Need) -> str:
    """Return the flag of `prompts render` that fills a variable in; number and words of a question share one."""
    return "--" + variable.value.removesuffix("_text").replace("_", "-")


def _join_up_to(limit: int, pieces: Iterable[str]) -> str | None:
    """Return the pieces joined, or None as soon as they have more than ``limit`` characters."""
    kept: list[str] = []
    for piece in pieces:
        kept.append(piece)
        limit -= len(piece)
        if limit < 0:
            return None
    return "".join(kept)


def _enumeration(labels: Sequence[str]) -> re.Pattern[str]:
    """Return the pattern of quoted labels in a row: ``'No' or 'Yes'``, ``"low", "middle", "high"``."""
    quoted = "(?:" + "|".join(f"{quote}{re.escape(label)}{quote}" for label in labels for quote in "'\"") + ")"
    return re.compile(rf"{quoted}(?:(?:[\s,/|]|\bor\b|\band\b)+{quoted})+")


def _mirror(text: str, labels: Sequence[str]) -> str:
    """Return the text with the labels of each enumeration in the opposite order."""
    one = re.compile("|".join(map(re.escape, sorted(labels, key=len, reverse=True))))

    def mirrored(match: re.Match[str]) -> str:
        last_first = iter(reversed(one.findall(match[0])))
        return one.sub(lambda _: next(last_first), match[0])

    return _enumeration(labels).sub(mirrored, text)


@lru_cache(maxsize=128)
def _compiled(template: PromptTemplate, *, swapped: bool) -> jinja2.Template:
    """Return the template ready to render; compiling takes some hundred times as long as rendering."""
    labels = tuple(template.front.labels)
    if swapped and not template.can_swap:
        raise PromptError(
            f"The labels of the prompt {template.name!r} cannot be swapped: its text nowhere lists them in quotes.",
            remedy=f"Write {' or '.join(map(repr, labels))} into it, or leave out the swapped variant.",
        )
    above = "{#" + "\n" * (template.first_line - 1) + "#}"  # so that lines are counted as in the file
    sources = {"prompt": above + template.body, **dict(template.partials)}
    files = {"prompt": str(template.path)}

    def load(name: str) -> tuple[str, str, None]:
        text = sources[name]
        return _mirror(text, labels) if swapped else text, files.get(name, name), None

    env = environment()
    env.loader = jinja2.FunctionLoader(load)
    return env.get_template("prompt")
