"""Prompts: find, check and render templates."""

from bah_mllm.prompting.front_matter import FrontMatter, Need
from bah_mllm.prompting.library import PromptEntry, find_prompt, list_prompts, new_prompt, prompt_folders
from bah_mllm.prompting.neutralise import Neutralised, neutralise
from bah_mllm.prompting.questions import QUESTIONS, question_text
from bah_mllm.prompting.rendering import (
    PromptCheck,
    PromptValues,
    check_prompt,
    missing_needs,
    render_prompt,
    render_text,
)
from bah_mllm.prompting.template import CONTENT_FREE_TEXT, PromptTemplate

__all__ = [
    "CONTENT_FREE_TEXT",
    "QUESTIONS",
    "FrontMatter",
    "Need",
    "Neutralised",
    "PromptCheck",
    "PromptEntry",
    "PromptTemplate",
    "PromptValues",
    "check_prompt",
    "find_prompt",
    "list_prompts",
    "missing_needs",
    "neutralise",
    "new_prompt",
    "prompt_folders",
    "question_text",
    "render_prompt",
    "render_text",
]
