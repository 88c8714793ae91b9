"""Words with times, made up for the tests, and what the rules make of them."""

from bah_mllm.core.records import Transcript, Word
from bah_mllm.cues.language import language_events, word_flags

STEP_S, LENGTH_S = 0.35, 0.3  # 50 ms between words: no pause
PAUSE_S = 0.5


def spoken(text):
    """Words at a steady pace; each ``/`` is a pause of half a second before the next word."""
    words, t_s = [], 0.0
    for text_of_word in text.split():
        if text_of_word == "/":
            t_s += PAUSE_S
        else:
            words.append(Word(text_of_word, t_s, t_s + LENGTH_S))
            t_s += STEP_S
    return tuple(words)


def said(text, language=None):
    return Transcript(text.replace("/ ", ""), language, words=spoken(text))


def cues(text, language=None):
    """Row and text of each event."""
    return [(event.code.removeprefix("language."), event.text) for event in language_events(said(text, language))]


def given_up(text, language="en"):
    """Words that were taken for a false start."""
    words = spoken(text)
    return [word.text for word, flags in zip(words, word_flags(words, language), strict=True) if flags.repair]


def fillers(text, language="en"):
    words = spoken(text)
    return [word.text for word, flags in zip(words, word_flags(words, language), strict=True) if flags.filler]
