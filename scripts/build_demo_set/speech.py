"""Speak a script with espeak-ng and know when each word is said.

A script is plain text with stage directions in braces (README of the demo set, "Scenario"):

    I should run more {ah} but {pause 1.3} {look_away 1.2 left} um, {filler um} {repeat I I} never do. {/ah}

Words come out clause by clause; the gaps between clauses and all pauses are put in here, so they are exactly known.
"""

import ctypes
import re
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float64]
RATE_HZ = 22050
COMMA_GAP_S, SENTENCE_GAP_S = 0.10, 0.22  # the usual gaps, both far below a planted pause
EDGE_FADE_S = 0.005
SPOKEN_TAGS = {"filler": "language.filler_sound", "repeat": "language.repetition", "hedge": "language.hedging",
               "slow": "audio.slow"}  # fmt: skip
FILLER_PACE, SLOW_PACE = 0.62, 0.5


@dataclass(frozen=True, slots=True)
class Voice:
    """An espeak-ng voice: name with variant, words per minute, pitch 0..100, pitch range 0..100."""

    name: str
    rate: int = 165
    pitch: int = 50
    range: int = 55


@dataclass(frozen=True, slots=True)
class Word:
    """A word as written, with its punctuation, and its span in the sound."""

    text: str
    start_s: float
    stop_s: float


@dataclass(frozen=True, slots=True)
class Event:
    """Something planted, by its codebook code."""

    code: str
    start_s: float
    stop_s: float
    side: str | None = None
    note: str | None = None


@dataclass(slots=True)
class Performance:
    """What was said: sound, word times, sentence spans, events, and the stage directions with their times."""

    sound: Sound
    words: list[Word] = field(default_factory=list)
    sentences: list[tuple[str, float, float]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    directions: list[tuple[float, str, list[str]]] = field(default_factory=list)


@dataclass(slots=True)
class _Token:
    """A word, or a direction (`{...}`); words carry the index of the tag they are spoken under."""

    text: str
    direction: list[str] | None = None
    tag: int | None = None
    pace: float = 1.0


class _EspeakEvent(ctypes.Structure):
    class _Id(ctypes.Union):
        _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_EspeakEvent))


@cache
def _espeak() -> ctypes.CDLL:
    library = ctypes.CDLL("libespeak-ng.so.1")
    rate = library.espeak_Initialize(2, 0, None, 0)  # 2: synchronous, sound handed to the callback
    if rate != RATE_HZ:
        raise RuntimeError(f"espeak-ng speaks at {rate} Hz, expected {RATE_HZ}.")
    return library


def speak_clause(words: list[str], voice: Voice, *, pace: float) -> tuple[Sound, list[tuple[float, float]]]:
    """Sound of one clause without silence around it, and start and stop of each word in it."""
    library, text = _espeak(), " ".join(words)
    heard: list[NDArray[np.int16]] = []
    starts: list[tuple[int, float]] = []  # character position, seconds

    def listen(samples: object, n: int, events: object) -> int:
        k = 0
        while events[k].type:  # type: ignore[index]
            if events[k].type == 1:  # a word
                starts.append((events[k].text_position - 1, events[k].sample / RATE_HZ))  # type: ignore[index]
            k += 1
        if samples and n:
            heard.append(np.ctypeslib.as_array(samples, (n,)).copy())  # type: ignore[call-overload]
        return 0

    callback = _CALLBACK(listen)
    library.espeak_SetSynthCallback(callback)
    library.espeak_SetVoiceByName(voice.name.encode())
    for parameter, value in ((1, max(80, round(voice.rate * pace))), (2, 90), (3, voice.pitch), (4, voice.range)):
        library.espeak_SetParameter(parameter, value, 0)
    encoded = text.encode()
    library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, 1, None, None)
    sound = np.concatenate(heard) / 32768.0
    return _cut_clause(sound, words, starts)


def _cut_clause(
    sound: Sound, words: list[str], starts: list[tuple[int, float]]
) -> tuple[Sound, list[tuple[float, float]]]:
    """Trim silence off both ends and turn espeak's word events into a span per word.

    espeak speaks some short words as one ("of the") and gives them one event: their span is shared by length.
    """
    loud = np.flatnonzero(np.abs(sound) > 0.004)
    first, last = max(0, loud[0] - 40), min(len(sound), loud[-1] + 200)
    sound = sound[first:last].copy()
    fade = np.linspace(0, 1, int(EDGE_FADE_S * RATE_HZ))
    sound[: len(fade)] *= fade
    sound[-len(fade) :] *= fade[::-1]
    begins: list[float | None] = []
    position = 0
    for word in words:
        inside = [t for at, t in starts if position <= at < position + len(word)]
        begins.append(max(0.0, inside[0] - first / RATE_HZ) if inside else None)
        position += len(word) + 1
    begins[0] = 0.0
    end, known = len(sound) / RATE_HZ, [k for k, t in enumerate(begins) if t is not None]
    spans: list[tuple[float, float]] = []
    for k, following in zip(known, [*known[1:], len(words)], strict=True):
        start = begins[k] or 0.0
        stop = (begins[following] or end) if following < len(words) else end
        lengths = np.cumsum([0, *(len(w.strip(".,?!")) for w in words[k:following])])
        edges = start + (stop - start) * lengths / lengths[-1]
        spans += [(float(a), float(b)) for a, b in pairwise(edges)]
    return sound, spans


def read_script(script: str) -> list[_Token]:
    """Words and directions of a script, in order."""
    tokens: list[_Token] = []
    for n, piece in enumerate(re.findall(r"\{[^}]*\}|[^\s{]+", script)):
        if not piece.startswith("{"):
            tokens.append(_Token(piece))
            continue
        verb, *arguments = piece[1:-1].split()
        if verb not in SPOKEN_TAGS:
            tokens.append(_Token(piece, direction=[verb, *arguments]))
            continue
        pace = {"filler": FILLER_PACE, "slow": SLOW_PACE}.get(verb, 1.0)
        tokens.append(_Token(piece, direction=[verb], tag=n))
        tokens += [_Token(word, tag=n, pace=pace) for word in arguments]
    return tokens


class _Stage:
    """Puts clauses, gaps and pauses one after the other and keeps the time."""

    def __init__(self, voice: Voice, lead_s: float) -> None:
        self.voice = voice
        self.sounds: list[Sound] = []
        self.now_s = 0.0
        self.gap_s = 0.0  # owed before the next clause
        self.clause: list[_Token] = []
        self.marks: list[tuple[int, list[str]]] = []  # directions waiting: index of the word they precede
        self.spoken: list[tuple[_Token, Word]] = []
        self.directions: list[tuple[float, str, list[str]]] = []
        self.silence(lead_s)

    def silence(self, length_s: float) -> tuple[float, float]:
        """Append silence; returns its span."""
        start_s = self.now_s
        self.sounds.append(np.zeros(round(length_s * RATE_HZ)))
        self.now_s += len(self.sounds[-1]) / RATE_HZ
        return start_s, self.now_s

    def flush(self) -> None:
        """Speak the words collected so far."""
        if not self.clause:
            return
        self.silence(self.gap_s)
        self.gap_s = 0.0
        texts = [token.text for token in self.clause]
        sound, spans = speak_clause(texts, self.voice, pace=self.clause[0].pace)
        for token, (start_s, stop_s) in zip(self.clause, spans, strict=True):
            self.spoken.append((token, Word(token.text, self.now_s + start_s, self.now_s + stop_s)))
        for index, (verb, *arguments) in self.marks:
            if index < len(spans):
                self.directions.append((self.now_s + spans[index][0], verb, arguments))
        self.marks = [(0, mark) for index, mark in self.marks if index >= len(spans)]
        self.sounds.append(sound)
        self.now_s += len(sound) / RATE_HZ
        self.clause = []

    def settle_marks(self) -> None:
        """Directions before a pause or at the end happen now."""
        self.directions += [(self.now_s, verb, arguments) for _, (verb, *arguments) in self.marks]
        self.marks = []


def perform(script: str, voice: Voice, *, lead_s: float, tail_s: float) -> Performance:
    """Speak a whole script, with `lead_s` and `tail_s` of silence around it."""
    stage, verbs, pauses = _Stage(voice, lead_s), {}, []
    for token in read_script(script):
        if token.direction is None:
            if stage.clause and stage.clause[0].pace != token.pace:
                stage.flush()
            stage.clause.append(token)
            if token.text[-1] in ",.?!":
                stage.flush()
                stage.gap_s = COMMA_GAP_S if token.text[-1] == "," else SENTENCE_GAP_S
        elif token.direction[0] == "pause":
            stage.flush()
            stage.settle_marks()
            pauses.append(stage.silence(float(token.direction[1])))
            stage.gap_s = 0.0
        elif token.tag is not None:
            verbs[token.tag] = token.direction[0]
        elif token.direction[0].startswith("/"):
            stage.flush()
            stage.directions.append((stage.now_s, token.direction[0], []))
        else:
            stage.marks.append((len(stage.clause), token.direction))
    stage.flush()
    stage.settle_marks()
    stage.silence(tail_s)
    events = [Event("audio.pause", start_s, stop_s) for start_s, stop_s in pauses]
    for tag, verb in verbs.items():
        words = [word for token, word in stage.spoken if token.tag == tag]
        said = " ".join(word.text for word in words)
        events.append(Event(SPOKEN_TAGS[verb], words[0].start_s, words[-1].stop_s, note=said))
    words = [word for _, word in stage.spoken]
    return Performance(np.concatenate(stage.sounds), words, _sentences(words), events, stage.directions)


def _sentences(words: list[Word]) -> list[tuple[str, float, float]]:
    spans, first = [], 0
    for k, word in enumerate(words):
        if word.text[-1] in ".?!" or k == len(words) - 1:
            text = " ".join(w.text for w in words[first : k + 1])
            spans.append((text, words[first].start_s, word.stop_s))
            first = k + 1
    return spans
