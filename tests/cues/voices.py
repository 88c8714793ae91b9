"""A voice made on the spot, of known pitch, level, rate and gaps: harmonics under formants, cut into syllables."""

from dataclasses import dataclass, field
from functools import cache

import numpy as np

from bah_mllm.core.records import Word
from bah_mllm.cues.baselines import pool
from bah_mllm.cues.sound import CLAMPS, MINIMA_S, POPULATION, sound_signals
from bah_mllm.cues.sound_events import sound_events

RATE_HZ = 16_000
VOWELS = [
    ((700, 90), (1200, 110), (2600, 160)),
    ((300, 60), (2300, 100), (3000, 150)),
    ((500, 80), (1800, 100), (2500, 150)),
    ((400, 70), (800, 90), (2500, 150)),
]
USUAL_HZ, USUAL_RATE = 120.0, 4.2
SYLLABLES = ["ba", "do", "ki", "lu", "me"]
ROOM = 3e-4  # 50 dB under the voice


def harmonics(f0_hz, vowel):
    """Return a voice of a pitch that may move, one value a sample."""
    phase = 2 * np.pi * np.cumsum(f0_hz) / RATE_HZ
    sound = np.zeros(len(f0_hz))
    for k in range(1, int(3800 / f0_hz.max())):
        weight = sum(1 / (1 + ((k * f0_hz.mean() - f) / b) ** 2) for f, b in VOWELS[vowel])
        sound += weight / k**0.3 * np.sin(k * phase)
    return sound / np.sqrt(np.mean(sound**2))


@dataclass
class Voice:
    """Speaks phrase after phrase, and notes when."""

    seed: int = 0
    pieces: list = field(default_factory=list)
    words: list = field(default_factory=list)
    n: int = 0

    def __post_init__(self):
        self.rng = np.random.default_rng(self.seed)

    @property
    def t_s(self):
        return self.n / RATE_HZ

    def add(self, sound):
        start_s = self.t_s
        self.pieces.append(sound)
        self.n += len(sound)
        return start_s, self.t_s

    def silence(self, seconds):
        return self.add(np.zeros(round(seconds * RATE_HZ)))

    def speak(self, seconds, *, rate=USUAL_RATE, f0_hz=USUAL_HZ, db=0.0, dip=0.08, in_words=True):
        """Speak even syllables without a gap."""
        n_syllables = round(seconds * rate)
        start_s = self.t_s
        for k in range(n_syllables):
            n = round(RATE_HZ / rate)
            t = np.linspace(0, 1, n)
            envelope = np.clip(np.minimum(t, 1 - t) * n / (0.06 * RATE_HZ), dip, 1)
            pitch = np.full(n, f0_hz * 2 ** (self.rng.normal(0, 0.3) / 12)) * (1 + 0.02 * np.sin(np.pi * t))
            level = 0.05 * 10 ** ((db + self.rng.normal(0, 0.7)) / 20)
            begin_s, stop_s = self.add(harmonics(pitch, k % 4) * envelope * level)
            if in_words:
                self.words.append(Word(SYLLABLES[k % len(SYLLABLES)], begin_s, stop_s))
        return start_s, self.t_s

    def usual(self, n_phrases):
        for _ in range(n_phrases):
            self.speak(2.6 + 0.3 * self.rng.random())
            self.silence(0.2 + 0.15 * self.rng.random())

    def recorded(self):
        """Return what was spoken, in a room with a little noise."""
        sound = np.concatenate(self.pieces) if self.pieces else np.zeros(0)
        return (sound + np.random.default_rng(99).normal(size=len(sound)) * ROOM).astype(np.float32)


@cache
def other_video(seed):
    voice = Voice(seed)
    voice.silence(0.6)
    voice.usual(8)
    voice.silence(0.5)
    return sound_signals(voice.recorded())


def baseline_with(*sounds):
    videos = [other_video(1), other_video(2), *sounds]
    return pool("90201", [sound.tracks for sound in videos], CLAMPS, POPULATION, minima_s=MINIMA_S)


@cache
def recording(plant, *, before=3, after=3):
    """Return a video in which something happens between usual phrases: the voice, and when."""
    voice = Voice(7)
    voice.silence(0.6)
    voice.usual(before)
    span = plant(voice)
    voice.usual(after)
    voice.silence(0.5)
    return voice, span


def events_of(voice, *, gain=1.0, offset=0.0, words=True):
    sound = sound_signals(np.clip(voice.recorded() * gain + offset, -1, 1).astype(np.float32))
    return sound_events(sound.tracks, sound.speech, voice.words if words else (), baseline_with(sound))


def long_pause(voice):
    voice.pieces[-1] = voice.pieces[-1][:0]  # the usual gap before it
    voice.n = sum(map(len, voice.pieces))
    return voice.silence(1.5)


def quiet(voice):
    return voice.speak(3.0, db=-9.0)


def trembling(voice):
    """A sustained vowel whose pitch swings by 1.5 semitones six times a second."""
    t = np.arange(round(1.4 * RATE_HZ)) / RATE_HZ
    pitch = USUAL_HZ * 2 ** (1.5 * np.sin(2 * np.pi * 6 * t) / 12)
    ramp = np.clip(np.minimum(t, 1.4 - t) / 0.05, 0, 1)
    span = voice.add(harmonics(pitch, 0) * ramp * 0.05)
    voice.words.append(Word("laa", *span))
    voice.speak(1.0)
    return span
