"""What a template may do: the small part of Jinja2 that prompts need, and nothing that is not declared.

Nothing allowed here can repeat or join values, so that all of it runs in time and memory proportional to the file and
its values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path

import jinja2
from jinja2 import meta, nodes
from jinja2.sandbox import SandboxedEnvironment
from jinja2.tests import TESTS

from bah_mllm.core.errors import PromptError
from bah_mllm.prompting.front_matter import FrontMatter, Need, TemplateSource, line_of_key

__all__ = ["FILTERS", "MAX_FILE_CHARS", "check_needs", "check_size", "collect_partials", "environment"]

MAX_FILE_CHARS = 200_000  # of a prompt file, and of what it may print beside its values; far past any model's context

MAX_INCLUDED = 100

FILTERS = ("capitalize", "count", "default", "first", "last", "length", "lower", "title", "trim", "truncate", "upper")

# No arithmetic, no concatenation, no assignment, no macros.
_ALLOWED_NODES = frozenset({
    "And", "Call", "Compare", "CondExpr", "Const", "Filter", "For", "Getattr", "Getitem", "If", "Include", "List",
    "Name", "Neg", "Not", "Operand", "Or", "Output", "Slice", "Template", "TemplateData", "Test", "Tuple",
})  # fmt: skip


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
            check_size(text, path)
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
    except jinja2.TemplateSyntaxError as error:
        raise _template_error(source, error.lineno, error.message or "not a template") from None
    except (RecursionError, SyntaxError, MemoryError):
        raise _template_error(source, 1, "conditions or brackets are nested too deeply") from None
    return tree


def _check_nodes(node: nodes.Node, source: TemplateSource, *, in_loop: bool) -> None:
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
    return PromptError(
        f"The file {source.path}, line {source.first_line + line - 1}: {problem.rstrip('.')}.",
        remedy=remedy or "Correct the template there; prompts/README.md says what a prompt can use.",
    )


def check_size(text: str, path: Path) -> None:
    """Refuse a file that is too long to be a prompt.

    Raises:
        PromptError: It is.
    """
    if len(text) > MAX_FILE_CHARS:
        raise PromptError(
            f"The file {path} has {len(text):,} characters; a prompt may have {MAX_FILE_CHARS:,}.",
            remedy="Give a prompt file, not a file of data.",
        )
