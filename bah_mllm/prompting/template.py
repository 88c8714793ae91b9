"""Prompt files: reading, checking and rendering them.

A prompt is a Jinja2 file with TOML front matter between ``+++`` fences (see ``prompts/README.md``). Prompt files may
come from strangers, and what is filled in certainly does:

- Rendering happens in Jinja2's sandbox, without HTML escaping, and with an error for undefined variables.
- Prompts use a small part of Jinja2 (``_ALLOWED_NODES``, ``FILTERS``): text, values, conditions, includes and loops
  that do not nest. All that is left runs in time and memory proportional to the file and its values.
- Values are data. Template syntax inside them comes out as it went in.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Annotated, NamedTuple

import jinja2
from jinja2 import meta, nodes
from jinja2.sandbox import SandboxedEnvironment
from jinja2.tests import TESTS
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StrictInt, ValidationError, field_validator

from bah_mllm.core.errors import PromptError
from bah_mllm.core.records import Level, Variant

__all__ = ["FILTERS", "MAX_FILE_CHARS", "FrontMatter", "Need", "PromptTemplate", "parse_template"]

MAX_FILE_CHARS = 200_000  # of a prompt file, and of what it may print beside its values; far past any model's context

MAX_INCLUDED = 100

FILTERS = ("capitalize", "count", "default", "first", "last", "length", "lower", "title", "trim", "truncate", "upper")

CONTENT_FREE_TEXT = "N/A"  # the content-free input of Zhao et al. 2021, "Calibrate Before Use", section 5


class Need(StrEnum):
    """What a prompt may ask for. All but ``video`` are variables of the template."""

    VIDEO = "video"
    TRANSCRIPT = "transcript"
    QUESTION = "question"
    QUESTION_TEXT = "question_text"
    WINDOW_TRANSCRIPT = "window_transcript"
    CUES = "cues"


CONTENT_NEEDS = frozenset({Need.TRANSCRIPT, Need.WINDOW_TRANSCRIPT, Need.CUES})


class FrontMatter(BaseModel):
    """What a prompt file says about itself.

    Args:
        version: Counts up with every change of the text.
        level: Which predictions the prompt is meant for.
        needs: What it must be given; exactly the variables it uses, and ``video`` where it asks about one.
        labels: Text of each answer to 0 (no A/H) or 1 (A/H present); both values occur.
        source: Where the text comes from.
        description: One line for ``prompts list``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Annotated[int, Field(ge=1)] | str
    level: Annotated[tuple[Level, ...], Field(min_length=1, validation_alias=AliasChoices("level", "levels"))]
    needs: tuple[Need, ...]
    labels: dict[str, StrictInt]
    source: str = ""
    description: str = ""

    @field_validator("level", mode="before")
    @classmethod
    def _one_or_more(cls, level: object) -> object:
        return [level] if isinstance(level, str) else level

    @field_validator("labels")
    @classmethod
    def _two_sides(cls, labels: dict[str, int]) -> dict[str, int]:
        if any(not label.strip() or label != " ".join(label.split()) for label in labels):
            raise ValueError("a label must be words on one line, without white space around them")
        if len({label.casefold() for label in labels}) < len(labels):
            raise ValueError("two labels differ only in upper and lower case")
        if set(labels.values()) != {0, 1}:
            raise ValueError("at least one label must stand for 0 and one for 1, and none for anything else")
        return labels


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    r"""A prompt file, checked.

    Args:
        name: As given to ``--prompt``: the path in its folder without the suffix (``upstream/def1``).
        path: The file.
        front: Its front matter.
        body: The template below the front matter.
        partials: Name and text of each file that it includes, sorted by name.
        digest: SHA-256 of the file's text (line ends as ``\n``) and of its partials' in their order.
    """

    name: str
    path: Path
    front: FrontMatter
    body: str
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
        template = _compiled(self, swapped=variant is Variant.SWAPPED)
        # Ten times: room for a template that repeats its values.
        limit = MAX_FILE_CHARS + 10 * sum(map(len, used.values()))
        try:
            text = _join_up_to(limit, template.generate(used))
        except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
            raise PromptError(  # without the error's words, which may quote a value
                f"The prompt {self.name!r} ({self.path}) cannot be rendered: {type(error).__name__} in its template.",
                remedy="Run `bah-mllm prompts check` on the file, and simplify its conditions and loops.",
            ) from error
        if text is None:
            raise PromptError(
                f"The prompt {self.name!r} prints more than {MAX_FILE_CHARS:,} characters beside its values.",
                remedy=f"Shorten the loop in {self.path}.",
            )
        return text.rstrip()

    def __hash__(self) -> int:
        return hash((self.name, self.digest))


# --- reading ----------------------------------------------------------------------------------------------------------


class _Source(NamedTuple):
    """A template's text, where it comes from, and the line of the file on which it starts, counted from 1."""

    text: str
    path: Path
    first_line: int


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
    _check_size(text, path)
    front, front_text, body = _split_front_matter(text, path)
    sources = {name: body}
    _collect_partials(name, sources, load_partial, including=())
    partials = tuple(sorted((key, source.text) for key, source in sources.items() if key != name))
    _check_needs(front, front_text, sources, path)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
    for _, partial in partials:
        digest.update(partial.encode("utf-8", "surrogatepass"))
    return PromptTemplate(name, path, front, body.text, partials, digest.hexdigest())


def _check_size(text: str, path: Path) -> None:
    if len(text) > MAX_FILE_CHARS:
        raise PromptError(
            f"The file {path} has {len(text):,} characters; a prompt may have {MAX_FILE_CHARS:,}.",
            remedy="Give a prompt file, not a file of data.",
        )


_FENCED = re.compile(
    r"\A\s*\+\+\+[ \t]*\n(?P<front>.*?)^\+\+\+[ \t]*(?:\n|\Z)(?P<blank>[ \t\n]*\n)?", re.DOTALL | re.MULTILINE
)


def _split_front_matter(text: str, path: Path) -> tuple[FrontMatter, _Source, _Source]:
    match = _FENCED.match(text)
    if match is None:
        raise PromptError(
            f"The file {path}, line 1: a prompt must begin with front matter between two lines '+++'.",
            remedy="Write a starter with `bah-mllm prompts new FILE`, and compare.",
        )
    front = _Source(match["front"], path, _line_at(text, match.start("front")))
    body = _Source(text[match.end() :], path, _line_at(text, match.end()))
    try:
        fields = tomllib.loads(front.text)
    except tomllib.TOMLDecodeError as error:
        raise _front_matter_error(front, *_toml_problem(str(error), front.text)) from None
    try:
        return FrontMatter.model_validate(fields), front, body
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        message = str(first["msg"]).removeprefix("Value error, ")
        raise _front_matter_error(front, _line_of_key(front.text, field), f"{field}: {message}") from None


def _line_at(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _toml_problem(message: str, text: str) -> tuple[int, str]:
    """Return line (counted from 1) and problem of a TOML error; Python 3.11 has the line in the message only."""
    match = re.search(r"\(at line (\d+), column (\d+)\)", message)
    line = int(match[1]) if match else max(1, len(text.splitlines()))
    return line, re.sub(r"\s*\(at [^)]*\)", "", message)


def _line_of_key(front_text: str, key: str) -> int:
    match = re.search(rf"^[ \t]*\[?[ \t]*[\"']?{re.escape(key)}\b", front_text, re.MULTILINE) if key else None
    return _line_at(front_text, match.start()) if match else 1


def _front_matter_error(front: _Source, line: int, problem: str) -> PromptError:
    return PromptError(
        f"The file {front.path}, line {front.first_line + line - 1}: the front matter is wrong: {problem}.",
        remedy="Write a starter with `bah-mllm prompts new FILE`, and compare.",
    )


# --- checking the template -------------------------------------------------------------------------------------------

# Nothing here can repeat or join values: no arithmetic, no concatenation, no assignment, no macros.
_ALLOWED_NODES = frozenset({
    "And", "Call", "Compare", "CondExpr", "Const", "Filter", "For", "Getattr", "Getitem", "If", "Include", "List",
    "Name", "Neg", "Not", "Operand", "Or", "Output", "Slice", "Template", "TemplateData", "Test", "Tuple",
})  # fmt: skip


def _environment() -> SandboxedEnvironment:
    env = SandboxedEnvironment(undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True)
    env.globals = {"range": env.globals["range"]}  # the sandbox's own, which refuses more than 100,000 steps
    env.filters = {name: env.filters[name] for name in FILTERS}
    return env


def _collect_partials(
    name: str,
    sources: dict[str, _Source],
    load_partial: Callable[[str], tuple[Path, str]],
    *,
    including: tuple[str, ...],
) -> int:
    """Add to ``sources`` every file that the template ``name`` includes, directly or not.

    Returns:
        How many files are printed where ``name`` is, itself among them: files that include files twice grow as
        powers of two.
    """
    source = sources[name]
    n_printed = 1
    for node in _checked_tree(source).find_all(nodes.Include):
        partial = node.template.value if isinstance(node.template, nodes.Const) else None
        if not isinstance(partial, str):
            raise _template_error(source, node.lineno, "an included file must be named by one string")
        if partial == name or partial in including:
            raise _template_error(source, node.lineno, f"{partial!r} includes itself")
        if partial not in sources:
            path, text = load_partial(partial)
            _check_size(text, path)
            # Files end with a newline; a sentence that is included must not bring a line break.
            sources[partial] = _Source(text.removesuffix("\n"), path, 1)
        n_printed += _collect_partials(partial, sources, load_partial, including=(*including, name))
        if n_printed > MAX_INCLUDED:
            raise _template_error(source, node.lineno, f"more than {MAX_INCLUDED} files are included")
    return n_printed


def _checked_tree(source: _Source) -> nodes.Template:
    """Return the parsed template; refuse what is malformed or not allowed."""
    env = _environment()
    try:
        tree = env.parse(source.text)
        _check_nodes(tree, source, in_loop=False)
        env.compile(tree)  # finds what parsing does not, such as targets that cannot be assigned to
    except jinja2.TemplateSyntaxError as error:
        raise _template_error(source, error.lineno, error.message or "not a template") from None
    except (RecursionError, SyntaxError, MemoryError):
        raise _template_error(source, 1, "conditions or brackets are nested too deeply") from None
    return tree


def _check_nodes(node: nodes.Node, source: _Source, *, in_loop: bool) -> None:
    """Refuse all of Jinja2 that prompts do not need; see the module's docstring."""
    problem = None
    kind = type(node).__name__
    if kind not in _ALLOWED_NODES:
        problem = f"prompts cannot use {kind!r} of Jinja2"
    elif isinstance(node, nodes.For) and (in_loop or node.recursive):
        problem = "loops cannot nest"
    elif isinstance(node, nodes.Include) and in_loop:
        problem = "files cannot be included inside a loop"
    elif isinstance(node, nodes.Call) and not (isinstance(node.node, nodes.Name) and node.node.name == "range"):
        problem = "prompts can call range() only"
    elif isinstance(node, nodes.Getattr) and not (isinstance(node.node, nodes.Name) and node.node.name == "loop"):
        problem = f"prompts cannot use the attribute {node.attr!r}"
    elif isinstance(node, nodes.Filter) and node.name not in FILTERS:
        problem = f"there is no filter {node.name!r}; there are: {', '.join(FILTERS)}"
    elif isinstance(node, nodes.Test) and node.name not in TESTS:  # Jinja2 would tell when it comes to it
        problem = f"there is no test {node.name!r}"
    if problem:
        raise _template_error(source, node.lineno, problem)
    inside = in_loop or isinstance(node, nodes.For)
    for child in node.iter_child_nodes():
        _check_nodes(child, source, in_loop=inside)


def _check_needs(front: FrontMatter, front_source: _Source, sources: Mapping[str, _Source], path: Path) -> None:
    """Check that the variables used are exactly the needs declared, ``video`` aside."""
    declared = {need.value for need in front.needs if need is not Need.VIDEO}
    used: set[str] = set()
    for source in sources.values():
        tree = _checked_tree(source)
        variables = meta.find_undeclared_variables(tree)
        used |= variables
        for variable in sorted(variables - declared):
            line = min(node.lineno for node in tree.find_all(nodes.Name) if node.name == variable)
            raise _template_error(source, line, f"{variable!r} is used but not among the needs", remedy=_hint(variable))
    unused = sorted(declared - used)
    if unused:
        line = front_source.first_line + _line_of_key(front_source.text, "needs") - 1
        raise PromptError(
            f"The file {path}, line {line}: the text does not use {', '.join(map(repr, unused))} of the needs.",
            remedy=f"Write {{{{ {unused[0]} }}}} into the text, or take it out of the needs.",
        )


def _hint(variable: str) -> str:
    known = [need.value for need in Need if need is not Need.VIDEO]
    if variable in known:
        return f"Add {variable!r} to the needs."
    if variable == Need.VIDEO:
        return "Take it out of the text: the engine's wrapper puts the video in front of the prompt."
    near = get_close_matches(variable, known, n=1)
    return (f"Did you mean {near[0]!r}? " if near else "") + f"Use one of: {', '.join(known)}."


def _template_error(source: _Source, line: int, problem: str, *, remedy: str = "") -> PromptError:
    return PromptError(
        f"The file {source.path}, line {source.first_line + line - 1}: {problem.rstrip('.')}.",
        remedy=remedy or "Correct the template there; prompts/README.md says what a prompt can use.",
    )


def _flag(variable: Need) -> str:
    """Return the flag of `prompts render` that fills a variable in; number and words of a question share one."""
    return "--" + variable.value.removesuffix("_text").replace("_", "-")


# --- rendering --------------------------------------------------------------------------------------------------------


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
    sources = {"prompt": template.body, **dict(template.partials)}
    env = _environment()
    env.loader = jinja2.DictLoader({name: _mirror(text, labels) if swapped else text for name, text in sources.items()})
    return env.get_template("prompt")
