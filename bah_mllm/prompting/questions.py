"""The seven questions that the participants answered."""

from __future__ import annotations

from bah_mllm.core.errors import PromptError

__all__ = ["QUESTIONS", "question_text"]

# BAH paper, Table 2: question number -> words on the screen. The answer they are meant to draw is, in order: neutral,
# positive, negative, ambivalent, willing, resistant, hesitant; it is not given to a model, for it hints at the label.
QUESTIONS: dict[int, str] = {
    1: "Tell us about an activity you commonly do after waking up.",
    2: "Talk about an activity that brings you joy, for example, a hobby. Tell us why.",
    3: "Talk about an activity you dislike doing, for example, a chore or something you find boring or annoying. "
    "Tell us why.",
    4: "Tell us about something you enjoy doing but wish you stopped doing (like a guilty pleasure) or something you "
    "don't do but wish you did.",
    5: "Tell us about an activity you are almost always willing to do, for example with friends, at work, at home.",
    6: "Tell us about something people around you do, but that you would not be willing to do, for example, with "
    "friends, at work, at home.",
    7: "Tell us about something you could have done already but haven't done yet, for example, something you are "
    "procrastinating or haven't made up your mind about.",
}


def question_text(question: int) -> str:
    """Return the words of a question.

    Args:
        question: 1 to 7.

    Raises:
        PromptError: There is no such question.

    References:
        BAH paper, Table 2.

    >>> question_text(1)
    'Tell us about an activity you commonly do after waking up.'
    """
    if question not in QUESTIONS:
        raise PromptError(
            f"There is no question {question}.", remedy="Give a number from 1 to 7, as in the names of the videos."
        )
    return QUESTIONS[question]
