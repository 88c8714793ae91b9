"""What a template may do: the small part of Jinja2 that prompts need, and nothing that is not declared.

Nothing allowed here can repeat or join values, so that all of it runs in time and memory proportional to the file and
its values.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

import jinja2
from jinja2 import meta, nodes
from jinja2.sandbox import SandboxedEnvironment
from jinja2.tests import TESTS

from bah_mllm.core.errors import PromptError
from bah_mllm.prompting.front_matter import FrontMatter, Need, TemplateSource, line_of_key

__all__ = [
    "FILTERS",
    "MAX_FILE_CHARS",
    "check_needs",
    "check_text",
    "collect_partials",
    "environment",
    "failing_filter",
]

MAX_FILE_CHARS = 200_000  # of a prompt file, and of what it may print beside its values; far past any model's context

MAX_INCLUDED = 100
_MAX_PROBLEM_CHARS = 300

FILTERS = ("capitalize", "count", "default", "first", "last", "length", "lower", "title", "trim", "truncate", "upper")

# No arithmetic, no concatenation, no assignment, no macros.
_ALLOWED_NODES = frozenset({
    "And", "Call", "Compare", "CondExpr", "Const", "Filter", "For", "Getattr", "Getitem", "If", "Include", "List",
    "Name", "Neg", "Not", "Operand", "Or", "Output", "Scope", "Slice", "Template", "TemplateData", "Test", "Tuple",
})  # fmt: skip

# What people write for the rest.
_WRITTEN = MappingProxyType({
    "Add": "+", "Assign": "{% set %}", "AssignBlock": "{% set %}", "Block": "{% block %}", "CallBlock": "{% call %}",
    "Concat": "~", "Dict": "{...}", "Div": "/", "Extends": "{% extends %}", "FilterBlock": "{% filter %}",
    "FloorDiv": "//", "FromImport": "{% from %}", "Import": "{% import %}", "Keyword": "name=value",
    "Macro": "{% macro %}", "Mod": "%", "Mul": "*", "Pos": "+", "Pow": "**",
    "ScopedEvalContextModifier": "{% autoescape %}", "Sub": "-", "With": "{% with %}",
})  # fmt: skip
_LONG_NUMBER = re.compile(r"[0-9a-fA-F_]{1000}")
_BAD_CHARACTER = re.compile("[\0\ud800-\udfff]")


def environment() -> SandboxedEnvironment:
    """Return the sandbox in which templates are read and rendered."""
    env = SandboxedEnvironment(undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True)
    env.globals = {"range": env.globals["range"]}  # the sandbox's own, which refuses more than 100,000 steps
    env.filters = {name: env.filters[name] for name in FILTERS}
    return env


def collect_partials(
    name: str,
    sources: dict[str, TemplateSource],
    load_partial: Callable[[str], tuple[Path, str]],
    *,
    including: tuple[str, ...],
) -> int:
    """Add to ``sources`` every file that the template ``name`` includes, directly or not.

    Returns:
        How many files are printed where ``name`` is, itself among them: files that include files twice grow as
        powers of two.

    Raises:
        PromptError: A template is malformed or does what prompts cannot, or an included file is not there.
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
            check_text(text, path)
            # Files end with a newline; a sentence that is included must not bring a line break.
            sources[partial] = TemplateSource(text.removesuffix("\n"), path, 1)
        n_printed += collect_partials(partial, sources, load_partial, including=(*including, name))
        if n_printed > MAX_INCLUDED:
            raise _template_error(source, node.lineno, f"more than {MAX_INCLUDED} files are included")
    return n_printed


def _checked_tree(source: TemplateSource) -> nodes.Template:
    """Return the parsed template; refuse what is malformed or not allowed."""
    env = environment()
    try:
        tree = env.parse(source.text)
        _check_nodes(tree, source, in_loop=False)
        env.compile(tree)  # finds what parsing does not, such as targets that cannot be assigned to
    except PromptError:
        raise
    except jinja2.TemplateSyntaxError as error:
        raise _template_error(source, error.lineno, error.message or "not a template") from None
    except (RecursionError, SyntaxError, MemoryError):
        raise _template_error(source, 1, "conditions or brackets are nested too deeply") from None
    except Exception as error:  # noqa: BLE001 - Jinja2 lets through whatever Python says of a constant in the text
        match = _LONG_NUMBER.search(source.text)
        line = source.text.count("\n", 0, match.start()) + 1 if match else 1
        problem = "a number has too many digits" if match else f"it cannot be compiled ({type(error).__name__})"
        raise _template_error(source, line, problem) from None
    return tree


def _check_nodes(node: nodes.Node, source: TemplateSource, *, in_loop: bool, line: int = 1) -> None:
    """Refuse all of Jinja2 that prompts do not need; see the module's docstring."""
    line = node.lineno or line  # Jinja2 leaves it out of what it puts around a tag
    problem = _problem_of(node, in_loop=in_loop)
    if problem is not None:
        raise _template_error(source, line, problem)
    inside = in_loop or isinstance(node, nodes.For)
    for child in node.iter_child_nodes():
        _check_nodes(child, source, in_loop=inside, line=line)


def _problem_of(node: nodes.Node, *, in_loop: bool) -> str | None:
    problem = None
    kind = type(node).__name__
    if kind not in _ALLOWED_NODES:
        problem = f"prompts cannot use {_WRITTEN.get(kind, kind)} of Jinja2"
    elif isinstance(node, nodes.Const) and isinstance(node.value, str) and _BAD_CHARACTER.search(node.value):
        problem = "a text holds a null character or half of a surrogate pair"
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
    return problem


def check_needs(
    front: FrontMatter, front_source: TemplateSource, sources: Mapping[str, TemplateSource], path: Path
) -> None:
    """Check that the variables used are exactly the needs declared, ``video`` aside.

    Args:
        front: Declares the needs.
        front_source: Its text.
        sources: Every template of the prompt, by name.
        path: The prompt's file; named in errors.

    Raises:
        PromptError: They are not; names the line.
    """
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
        line = front_source.first_line + line_of_key(front_source.text, "needs") - 1
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


def _template_error(source: TemplateSource, line: int, problem: str, *, remedy: str = "") -> PromptError:
    if len(problem) > _MAX_PROBLEM_CHARS:  # it may quote a name of any length
        problem = f"{problem[:_MAX_PROBLEM_CHARS]} ..."
    return PromptError(
        f"The file {source.path}, line {source.first_line + line - 1}: {problem.rstrip('.')}.",
        remedy=remedy or "Correct the template there; prompts/README.md says what a prompt can use.",
    )


def failing_filter(error: BaseException) -> str | None:
    """Return the name of the filter in which an error was raised; None where it was none."""
    code_of = {getattr(jinja2.filters.FILTERS[name], "__code__", None): name for name in FILTERS}
    raised_in = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
    return next((code_of[code] for code in reversed(raised_in) if code in code_of), None)


def check_text(text: str, path: Path) -> None:
    """Refuse a file that is too long to be a prompt, or that holds a null character.

    Raises:
        PromptError: It is.
    """
    if len(text) > MAX_FILE_CHARS:
        raise PromptError(
            f"The file {path} has {len(text):,} characters; a prompt may have {MAX_FILE_CHARS:,}.",
            remedy="Give a prompt file, not a file of data.",
        )
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise PromptError(f"The file {path}, line {line}: a null character.", remedy="Save it as UTF-8 text.")
