"""Errors that a user can cause, each with a remedy.

Tree::

    BahError                    problem + remedy; the CLI prints two lines and exits 2
    +-- ConfigError             a flag or a config file asks for something impossible
    +-- DataError               a data set, split file, annotation or prediction file is wrong
    +-- MediaError              a video or its sound cannot be read
    +-- PromptError             a prompt file is missing, malformed or does not fit its needs
    +-- EngineError             a model cannot be loaded, or failed on an input
    |   +-- OutOfMemoryError    the model ran out of memory; a smaller batch may do
    +-- RunError                a run folder cannot be written, resumed or read
    +-- PrerequisiteError       a package, a file of weights or a device is not there

Any other exception is a bug and keeps its traceback.
"""

__all__ = [
    "BahError",
    "ConfigError",
    "DataError",
    "EngineError",
    "MediaError",
    "OutOfMemoryError",
    "PrerequisiteError",
    "PromptError",
    "RunError",
]

_MOST_CHARS, _LAST_CHARS = 1500, 300  # of a problem


class BahError(Exception):
    """A problem that the user can solve.

    Args:
        problem: What is wrong, where, and the offending value. Never a participant's words. The middle of one that
            nobody would read, since a file of somebody's making is quoted, is left out.
        remedy: What to do about it: starts with a verb, or is a command.
    """

    def __init__(self, problem: str, *, remedy: str) -> None:
        if len(problem) > _MOST_CHARS:
            problem = f"{problem[: _MOST_CHARS - _LAST_CHARS]} [...] {problem[-_LAST_CHARS:]}"
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with the remedy, so that errors survive a process border."""
        return _rebuild, (type(self), self.problem, self.remedy)


def _rebuild(kind: type[BahError], problem: str, remedy: str) -> BahError:
    return kind(problem, remedy=remedy)


class ConfigError(BahError):
    """A flag or a config file asks for something impossible."""


class DataError(BahError):
    """A data set, split file, annotation or prediction file is wrong."""


class MediaError(BahError):
    """A video or its sound cannot be read."""


class PromptError(BahError):
    """A prompt file is missing, malformed or does not fit its declared needs."""


class EngineError(BahError):
    """A model cannot be loaded, or failed on an input."""


class OutOfMemoryError(EngineError):
    """The model ran out of memory on a batch."""


class RunError(BahError):
    """A run folder cannot be written, resumed or read."""


class PrerequisiteError(BahError):
    """A package, a file of weights or a device is not there."""
